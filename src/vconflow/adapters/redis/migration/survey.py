"""What a conserver left in Redis: all of it, counted, or a quick look at a part."""

from collections import Counter
from collections.abc import Sequence
from itertools import count
from typing import Any

import msgspec
from redis.asyncio import Redis

from vconflow.adapters.redis.errors import as_ours, redis_errors
from vconflow.adapters.redis.keys import Keys
from vconflow.adapters.redis.migration.lists import uuid_or_nothing
from vconflow.adapters.redis.migration.routes import Route
from vconflow.errors import Unavailable

__all__ = ["Survey", "survey"]

_SCAN_COUNT = 500
_GLANCE_SCANS = 20
_GLANCE_MEMBERS = 50
_MOST_STRAYS = 1_000
_SAMPLE = 20
_LIST = b"list"


class Survey(msgspec.Struct):
    """How much there is. `lists` has the length of each routed list that is not empty, `strays`
    that of further lists that look like lists of uuids; `indexes` counts keys, `listed` members.
    """

    lists: dict[str, int] = {}
    strays: dict[str, int] = {}
    json_documents: int = 0
    plain_documents: int = 0
    indexes: int = 0
    listed: int = 0

    def __bool__(self) -> bool:
        """Whether there is anything to take over."""
        return bool(
            self.lists or self.json_documents or self.plain_documents or self.indexes or self.listed
        )


async def survey(
    client: Redis, keys: Keys, routes: Sequence[Route], *, glance: bool = False
) -> Survey:
    """Look at every key, a few hundred at a time; at a `glance` only at some thousands.

    Raises Unavailable.
    """
    found = Survey()
    found.lists = await _lengths(client, [route.source for route in routes])
    routed = {route.source.encode() for route in routes}
    cursor: int | bytes = 0
    for scans in count(1):
        with redis_errors():
            cursor, names = await client.execute_command("SCAN", cursor, "COUNT", _SCAN_COUNT)
        await _classify(client, keys, set(names) - routed, found)
        if int(cursor) == 0 or (glance and scans == _GLANCE_SCANS):
            break
    found.listed = await _listed(client, keys, glance)
    return found


async def _lengths(client: Redis, names: Sequence[str]) -> dict[str, int]:
    types = await _ask(client, [("TYPE", name) for name in names])
    lists = [name for name, kind in zip(names, types, strict=True) if kind == _LIST]
    lengths = await _ask(client, [("LLEN", name) for name in lists])
    return {name: int(length) for name, length in zip(lists, lengths, strict=True) if length}


async def _classify(client: Redis, keys: Keys, names: set[bytes], found: Survey) -> None:
    """Count keys by what they are to us."""
    document = keys.document("").encode()
    index = tuple(make("").encode() for make in (keys.tel, keys.mailto, keys.name))
    aside = tuple(keys.aside(prefix.decode()).encode() for prefix in index)
    ours = keys.list("").encode().partition(b":")[0] + b":"
    chosen = [
        name for name in names if not name.startswith((ours, b"context:")) or name.startswith(aside)
    ]
    types = await _ask(client, [("TYPE", name) for name in chosen])
    counts: Counter[str] = Counter()
    strings, lists = [], []
    for name, kind in zip(chosen, types, strict=True):
        if kind == b"set" and name.startswith((*index, *aside)):
            counts["indexes"] += 1
        elif kind == b"ReJSON-RL" and name.startswith(document):
            counts["json"] += 1
        elif kind == b"string" and name.startswith(document):
            strings.append(name)
        elif kind == _LIST:
            lists.append(name)
    found.indexes += counts["indexes"]
    found.json_documents += counts["json"]
    metas = [keys.meta("").encode() + name.removeprefix(document) for name in strings]
    fields = ("rev", "deleted", "idx", "stored")
    known = await _ask(client, [("HMGET", meta, *fields) for meta in metas])
    found.plain_documents += sum(not held or not _is_ours(*held) for held in known)
    await _add_strays(client, lists, found)


def _is_ours(
    rev: bytes | None, deleted: bytes | None, index: bytes | None, stored: bytes | None
) -> bool:
    # A conserver's that was worked on has a revision, and still no place in our index.
    return bool(rev and not deleted and (index is not None or stored == rev))


async def _add_strays(client: Redis, names: Sequence[bytes], found: Survey) -> None:
    samples = await _ask(client, [("LRANGE", name, 0, _SAMPLE - 1) for name in names])
    alike = [
        name
        for name, sample in zip(names, samples, strict=True)
        if sample and all(map(uuid_or_nothing, sample))
    ]
    lengths = await _ask(client, [("LLEN", name) for name in alike])
    for name, length in zip(alike, lengths, strict=True):
        if len(found.strays) < _MOST_STRAYS:
            found.strays[name.decode(errors="replace")] = int(length or 0)


async def _listed(client: Redis, keys: Keys, glance: bool) -> int:
    prefix = keys.document("").encode()
    if glance:
        ends = [
            ("ZRANGE", keys.created, 0, _GLANCE_MEMBERS - 1),
            ("ZRANGE", keys.created, -_GLANCE_MEMBERS, -1),
        ]
        members = {member for reply in await _ask(client, ends) for member in reply}
        return sum(member.startswith(prefix) for member in members)
    total, cursor = 0, b"0"
    while True:
        command = ("ZSCAN", keys.created, cursor, "MATCH", prefix + b"*", "COUNT", _SCAN_COUNT)
        [reply] = await _ask(client, [command])
        cursor, found = reply or (b"0", ())
        total += len(found) // 2
        if int(cursor) == 0:
            return total


async def _ask(client: Redis, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The replies of some reading commands, all in one round trip; what cannot be read is empty."""
    if not commands:
        return []
    with redis_errors():
        async with client.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            return [_or_nothing(reply) for reply in await pipe.execute(raise_on_error=False)]


def _or_nothing(reply: Any) -> Any:
    if not isinstance(reply, Exception):
        return reply
    error = as_ours(reply)
    if isinstance(error, Unavailable):
        raise error
    return ()  # a key whose type has changed meanwhile, or a stranger's
