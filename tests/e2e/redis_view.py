"""What Redis itself says about lists: the truth that replicas, dead or alive, are measured by."""

import asyncio
import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis

GROUP = "vconflow"
ALL = 100_000


class RedisView:
    """Looks at the keys of vconflow without being a part of it."""

    def __init__(self, client: redis.Redis, tag: str = "") -> None:
        self._client = client
        self._tag = tag

    def pending(self, name: str, consumer: str | None = None) -> list[str]:
        """Ids of entries that are owned, by `consumer` or by anybody."""
        key = f"{self._tag}vconflow:list:{name}"
        rows = self._client.xpending_range(key, GROUP, "-", "+", ALL, consumername=consumer)
        return [row["message_id"].decode() for row in rows]

    def pending_count(self, name: str) -> int:
        """How many entries are owned."""
        return int(self._client.xpending(f"{self._tag}vconflow:list:{name}", GROUP)["pending"])

    def length(self, name: str) -> int:
        """How many entries are not finished."""
        return int(self._client.xlen(f"{self._tag}vconflow:list:{name}"))

    def ever_added(self, name: str) -> int:
        """How many entries were put on the list since it exists, finished ones included."""
        facts = self._client.xinfo_stream(f"{self._tag}vconflow:list:{name}")
        return int(facts["entries-added"])

    def dead(self, name: str) -> list[dict[str, str]]:
        """The dead letters of a list, field by field."""
        letters = self._client.xrange(f"{self._tag}vconflow:dead:{name}")
        return [
            {key.decode(): value.decode() for key, value in held.items()} for _, held in letters
        ]

    def progress(self, name: str, entry: str) -> dict[str, Any]:
        """The run record of an entry: how far its work is safe."""
        text = self._client.hget(f"{self._tag}vconflow:run:{name}:{entry}", "progress")
        return json.loads(text) if text else {}


class ShardedView:
    """The same of a whole that is divided into shards."""

    def __init__(self, shards: list[RedisView]) -> None:
        self._shards = shards

    def pending(self, name: str, consumer: str | None = None) -> list[tuple[int, str]]:
        """Shards and ids of entries that are owned, by `consumer` or by anybody."""
        found = [shard.pending(name, consumer) for shard in self._shards]
        return [(number, entry) for number, part in enumerate(found) for entry in part]

    def pending_count(self, name: str) -> int:
        """How many entries are owned."""
        return sum(shard.pending_count(name) for shard in self._shards)

    def length(self, name: str) -> int:
        """How many entries are not finished."""
        return sum(shard.length(name) for shard in self._shards)

    def ever_added(self, name: str) -> int:
        """How many entries were put on the list since it exists, finished ones included."""
        return sum(shard.ever_added(name) for shard in self._shards)

    def dead(self, name: str) -> list[dict[str, str]]:
        """The dead letters of a list, field by field."""
        return [letter for shard in self._shards for letter in shard.dead(name)]


@contextmanager
def redis_view(url: str) -> Iterator[RedisView]:
    """A view of the server at `url`."""
    with redis.Redis.from_url(url) as client:
        yield RedisView(client)


async def until(condition: Callable[[], object], seconds: float = 60, every: float = 0.02) -> None:
    """Wait for something to become true, or for what is awaited to. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not (await found if inspect.isawaitable(found := condition()) else found):
            await asyncio.sleep(every)
