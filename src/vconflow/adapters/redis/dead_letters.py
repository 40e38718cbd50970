"""Dead letters (`ports/dead_letters.py`): one stream per list."""

from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from vconflow.adapters.redis.documents import RedisDocuments
from vconflow.adapters.redis.entries import field_map
from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.history import Journal
from vconflow.adapters.redis.index import index_keys
from vconflow.adapters.redis.keys import Keys
from vconflow.adapters.redis.scripts import ScriptCall, Scripts
from vconflow.ports.dead_letters import DeadLetter, Extent
from vconflow.ports.history import HistoryRecord
from vconflow.ports.ledger import decode_progress
from vconflow.telemetry import events

__all__ = ["RedisDeadLetters"]

_CHUNK = 200
"""So many are moved or dropped by one script: it keeps others waiting for a few milliseconds."""


class RedisDeadLetters:
    """Browse, replay, drop and expire."""

    def __init__(
        self,
        client: Redis,
        scripts: Scripts,
        keys: Keys,
        journal: Journal,
        documents: RedisDocuments,
    ) -> None:
        self._client = client
        self._scripts = scripts
        self._keys = keys
        self._journal = journal
        self._documents = documents

    async def browse(
        self, list_name: str, *, after: str, count: int, until: str = ""
    ) -> list[DeadLetter]:
        """See `DeadLetters.browse`."""
        return await self._range(list_name, f"({after}" if after else "-", until or "+", count)

    async def newest(self, list_name: str, count: int) -> list[DeadLetter]:
        """See `DeadLetters.newest`."""
        with redis_errors():
            reply = await self._client.execute_command(
                "XREVRANGE", self._keys.dead(list_name), "+", "-", "COUNT", count
            )
        return [_dead_letter(list_name, item) for item in reply]

    async def find(self, list_name: str, ids: Sequence[str]) -> list[DeadLetter]:
        """See `DeadLetters.find`."""
        key = self._keys.dead(list_name)
        found = await self._together([("XRANGE", key, name, name) for name in dict.fromkeys(ids)])
        return [_dead_letter(list_name, reply[0]) for reply in found if reply]

    async def extents(self, lists: Sequence[str]) -> dict[str, Extent]:
        """See `DeadLetters.extents`."""
        keys = [self._keys.dead(name) for name in lists]
        commands = [("XREVRANGE", key, "+", "-", "COUNT", 1) for key in keys]
        counts = await self._together([("XLEN", key) for key in keys])
        newest = await self._together(commands)
        return {
            name: Extent(int(count), reply[0][0].decode())
            for name, count, reply in zip(lists, counts, newest, strict=True)
            if reply
        }

    async def lists(self) -> set[str]:
        """See `DeadLetters.lists`."""
        prefix = self._keys.dead("")
        found: set[str] = set()
        cursor: int | bytes = 0
        while True:
            with redis_errors():
                cursor, keys = await self._client.execute_command(
                    "SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", 1_000, "TYPE", "stream"
                )
            found.update(key.decode(errors="replace").removeprefix(prefix) for key in keys)
            if int(cursor) == 0:
                return found

    async def replay(self, list_name: str, ids: Sequence[str], *, from_start: bool = False) -> int:
        """See `DeadLetters.replay`."""
        moved = 0
        for start in range(0, len(ids), _CHUNK):
            uuids = await self._uuids(list_name, ids[start : start + _CHUNK])
            moved += await self._replay(list_name, uuids, from_start) if uuids else 0
        events.dead_letters_moved(list_name, "replayed", moved)
        return moved

    async def _replay(self, list_name: str, uuids: Mapping[str, str], from_start: bool) -> int:
        call, journal = ScriptCall(), self._journal
        record = HistoryRecord(kind="replayed", list=list_name)
        header = [
            call.key(self._keys.dead(list_name)),
            call.key(self._keys.list(list_name)),
            from_start,
            [
                [
                    name,
                    call.key(self._keys.meta(uuid)),
                    call.key(self._keys.document(uuid)),
                    journal.key(call, uuid),
                ]
                for name, uuid in uuids.items()
            ],
            journal.header(),
            journal.record(call, record),
        ]
        return int(await self._scripts.run("replay", call, header))

    async def drop(self, list_name: str, ids: Sequence[str]) -> int:
        """See `DeadLetters.drop`."""
        dropped = 0
        for start in range(0, len(ids), _CHUNK):
            uuids = await self._uuids(list_name, ids[start : start + _CHUNK])
            dropped += await self._drop(list_name, uuids) if uuids else 0
        events.dead_letters_moved(list_name, "purged", dropped)
        return dropped

    async def expire(self, list_name: str, older_than: int, count: int) -> int:
        """See `DeadLetters.expire`."""
        dropped = 0
        while wanted := min(count - dropped, _CHUNK):
            letters = await self._range(list_name, "-", f"({older_than}-0", wanted)
            uuids = {letter.id: letter.uuid for letter in letters}
            dropped += await self._drop(list_name, uuids) if uuids else 0
            if len(letters) < wanted:
                break
        events.dead_letters_moved(list_name, "expired", dropped)
        return dropped

    async def _uuids(self, list_name: str, ids: Sequence[str]) -> dict[str, str]:
        """By id, those that are there."""
        names = list(dict.fromkeys(ids))
        call = ScriptCall()
        header = [call.key(self._keys.dead(list_name)), names]
        uuids: list[bytes | None] = await self._scripts.run("dead_uuids", call, header)
        found = zip(names, uuids, strict=True)
        return {name: uuid.decode(errors="replace") for name, uuid in found if uuid is not None}

    async def _drop(self, list_name: str, uuids: Mapping[str, str]) -> int:
        indexes = await self._documents.indexes(list(uuids.values()))
        call = ScriptCall()
        items = [
            [
                name,
                uuid,
                call.key(self._keys.document(uuid)),
                call.key(self._keys.meta(uuid)),
                index,
                [call.key(key) for key in index_keys(index)],
            ]
            for (name, uuid), index in zip(uuids.items(), indexes, strict=True)
        ]
        header = [
            call.key(self._keys.dead(list_name)),
            call.key(self._keys.created),
            items,
            call.key(self._keys.expiring),
            *self._documents.lifetimes,
            call.key(self._keys.partners),
        ]
        return int(await self._scripts.run("dead_drop", call, header))

    async def _range(self, list_name: str, low: str, high: str, count: int) -> list[DeadLetter]:
        with redis_errors():
            reply = await self._client.execute_command(
                "XRANGE", self._keys.dead(list_name), low, high, "COUNT", count
            )
        return [_dead_letter(list_name, item) for item in reply]

    async def _together(self, commands: Sequence[tuple[str | int, ...]]) -> list[Any]:
        """Run commands in one round trip; their replies."""
        if not commands:
            return []
        with redis_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for command in commands:
                    pipe.execute_command(*command)
                return list(await pipe.execute())


def _dead_letter(list_name: str, item: list[Any]) -> DeadLetter:
    # A stream that others write to may hold anything, and so may what was sorted out from it.
    fields = field_map(item[1]).items()
    held = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in fields}
    entry_id = item[0].decode()
    return DeadLetter(
        id=entry_id,
        list=list_name,
        uuid=held.get("uuid", ""),
        chain=held.get("chain", ""),
        stage=held.get("stage", ""),
        error_type=held.get("error_type", ""),
        error=held.get("error", ""),
        attempts=_number(held.get("attempts", "")),
        first_failure=_number(held.get("first_failure", "")),
        last_failure=_number(held.get("last_failure", "")) or int(entry_id.partition("-")[0]),
        at=_number(held.get("at", "")),
        origin=held.get("origin", ""),
        progress=decode_progress(held.get("progress", "")),
        trace=held.get("trace", ""),
        traceback=held.get("traceback", ""),
    )


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 16 else 0
