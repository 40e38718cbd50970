"""Which shards do not answer, so that nobody waits for them again and again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from vconflow.adapters.redis.client import PATIENCE
from vconflow.adapters.redis.ending import end_all
from vconflow.errors import Permanent, Unavailable
from vconflow.telemetry import events

__all__ = ["Standing"]

ResultT = TypeVar("ResultT")

_LONG = PATIENCE / 2
_PAUSE = 0.25


class Standing:
    """Refuses at once what is for a shard that was silent, until a probe of it is answered.

    Else each batch with a part for a silent master would last as long as we wait for that part,
    and those of the other shards with it. An outage that is told quickly keeps nobody waiting,
    and is found out by every command itself. `probes` are one per shard; `long` is in seconds.
    """

    def __init__(
        self, probes: Sequence[Callable[[], Awaitable[None]]], *, long: float = _LONG
    ) -> None:
        self._probes = probes
        self._long = long
        self._probing: dict[int, asyncio.Task[None]] = {}

    def is_silent(self, shard: int) -> bool:
        """Whether a command to it would be refused now."""
        return shard in self._probing

    def check(self) -> None:
        """Raises `Unavailable` when no shard answers."""
        if len(self._probing) == len(self._probes):
            raise Unavailable("Redis is unavailable: no shard answers")

    async def ask(self, shard: int, call: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """What the shard answers. Raises `Unavailable` at once for one that is silent."""
        if shard in self._probing:
            raise _unavailable(shard)
        started = _now()
        try:
            return await call()
        except Unavailable:
            if _now() - started >= self._long and shard not in self._probing:
                self._begin(shard)
            raise

    async def close(self) -> None:
        """End all probes."""
        await end_all(self._probing.values())

    def _begin(self, shard: int) -> None:
        probing = self._probing[shard] = asyncio.create_task(self._probe(shard))
        # Also of one that is cancelled before it has begun.
        probing.add_done_callback(lambda _: self._probing.pop(shard))

    async def _probe(self, shard: int) -> None:
        started = _now()
        events.redis_lost(_unavailable(shard))
        while await self._is_long(shard):  # noqa: ASYNC110  # servers set no event
            await asyncio.sleep(_PAUSE)
        events.redis_back(_now() - started)

    async def _is_long(self, shard: int) -> bool:
        """Whether a probe ended without an answer. A refusal that comes quickly is one."""
        started = _now()
        try:
            await self._probes[shard]()
        except Unavailable:
            return _now() - started >= self._long
        except Permanent:
            pass
        return False


def _unavailable(shard: int) -> Unavailable:
    return Unavailable(f"Redis is unavailable: shard {shard} does not answer")


def _now() -> float:
    return asyncio.get_running_loop().time()
