"""Answers that are in order over all shards: pages of the listing, and searches."""

import heapq
from collections.abc import Sequence
from typing import Any

from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.shard import Shard
from vconflow.adapters.redis.shards.spreading import each
from vconflow.ports.documents import Search

__all__ = ["page", "search"]

_NEAR = 5_000
"""So deep a page is merged from the top; one further down is looked for by its time."""

_ROUNDS = 60
"""Halvings that narrow any range of times down to neighbouring numbers."""

Ranked = list[tuple[float, str]]


async def page(
    shards: Sequence[Shard], offset: int, limit: int, low: float | None, high: float | None
) -> list[str]:
    """See `Documents.page`."""
    if offset > _NEAR:
        high, offset = await _descend(shards, offset, low, high)
    ranges = (_highest(shard, offset + limit, low, high) for shard in shards)
    return _merged(await each(ranges))[offset : offset + limit]


async def search(shards: Sequence[Shard], query: Search, limit: int) -> list[str]:
    """See `Documents.search`."""
    return _merged(await each(_found(shard, query) for shard in shards))[:limit]


async def _found(shard: Shard, query: Search) -> Ranked:
    uuids = await shard.documents.search(query)
    if not uuids:
        return []
    scores = await _ask(shard, "ZMSCORE", _first_key(shard, query), *uuids)
    return [(float(score or 0), uuid) for score, uuid in zip(scores, uuids, strict=True)]


def _first_key(shard: Shard, query: Search) -> str:
    """The index whose times order the answer."""
    keys = shard.place.keys
    if query.tel is not None:
        return keys.tel(query.tel)
    return keys.mailto(query.mailto) if query.mailto is not None else keys.name(query.name or "")


async def _highest(shard: Shard, count: int, low: float | None, high: float | None) -> Ranked:
    bounds = _bound(high, "+inf"), _bound(low, "-inf")
    options = ("BYSCORE", "REV", "LIMIT", 0, count, "WITHSCORES")
    flat = await _ask(shard, "ZRANGE", shard.place.keys.created, *bounds, *options)
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return [(float(score), uuid.decode()) for uuid, score in pairs]


async def _descend(
    shards: Sequence[Shard], offset: int, low: float | None, high: float | None
) -> tuple[float | None, int]:
    """A time that the page does not begin before, and the offset from there."""
    lower, upper = await _extent(shards, low, high)
    passed, above = 0, high
    for _ in range(_ROUNDS):
        middle = (lower + upper) / 2
        count = await _count(shards, middle, high)
        if count <= offset:
            passed, above, upper = count, middle, middle
        else:
            lower = middle
    return above, offset - passed


async def _extent(
    shards: Sequence[Shard], low: float | None, high: float | None
) -> tuple[float, float]:
    ends = await each(
        _ask(shard, "ZRANGE", shard.place.keys.created, end, end, "WITHSCORES")
        for shard in shards
        for end in (0, -1)
    )
    scores = [float(reply[1]) for reply in ends if reply] or [0.0]
    lower = min(scores) if low is None else low
    return lower, max(scores) if high is None else high


async def _count(shards: Sequence[Shard], above: float, high: float | None) -> int:
    """How many are younger than `above`, over all shards."""
    command = (f"({above!r}", _bound(high, "+inf"))
    counts = await each(
        _ask(shard, "ZCOUNT", shard.place.keys.created, *command) for shard in shards
    )
    return sum(map(int, counts))


def _bound(time: float | None, default: str) -> str:
    return default if time is None else repr(time)


def _merged(ranges: Sequence[Ranked]) -> list[str]:
    """Highest first; Redis orders equal ones by their names, and so do we."""
    return [uuid for _, uuid in heapq.merge(*ranges, reverse=True)]


async def _ask(shard: Shard, *command: Any) -> Any:
    with redis_errors():
        return await shard.place.connections.commands.execute_command(*command)
