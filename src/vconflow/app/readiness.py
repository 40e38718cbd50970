"""Which of what this replica depends on is there (/ready)."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vconflow.adapters.modules.threads import Threads
from vconflow.adapters.redis.backend import RedisBackend
from vconflow.api import Dependency
from vconflow.live_config import LiveConfig
from vconflow.pipeline.breaker import Breaker
from vconflow.pipeline.fanout import Fanout, breaker_of
from vconflow.pipeline.followers import Followers
from vconflow.site.following import dependencies

__all__ = ["Readiness"]

_PATIENCE = 3.0
"""Seconds within which Redis has to answer, to count as there."""


@dataclass(frozen=True)
class Readiness:
    """Asks everything at once; `redis_trouble` says what is known to hinder Redis."""

    backend: RedisBackend
    fanout: Callable[[], Fanout]
    configuration: LiveConfig
    followers: Followers
    redis_trouble: Callable[[], str]
    threads: Threads

    async def __call__(self) -> Sequence[Dependency]:
        fanout = self.fanout()
        storages = (_storage(fanout, name) for name in fanout.names)
        measured = await asyncio.gather(self._redis(), *storages)
        others = ("link:", "tracer:")
        links = [_down(it) for it in fanout.breakers.open_ones if it.name.startswith(others)]
        refused = str(self.configuration.troubles)
        configuration = Dependency("configuration", not refused, 0.0, refused, required=False)
        modules = _modules(self.threads.trouble)
        return [*measured, *links, *modules, configuration, *dependencies(self.followers)]

    async def _redis(self) -> Dependency:
        try:
            async with asyncio.timeout(_PATIENCE):
                return Dependency("redis", True, round(await self.backend.ping() * 1000, 2))
        # Whatever hinders it is what the reader wants to know.
        except Exception as failure:  # noqa: BLE001
            trouble = self.redis_trouble() or str(failure) or "no answer"
            return Dependency("redis", False, 0.0, trouble)


async def _storage(fanout: Fanout, name: str) -> Dependency:
    breaker = fanout.breakers.of(breaker_of(name))
    if breaker.is_open:
        return _down(breaker)
    started = time.perf_counter()
    error = ""
    try:
        await fanout.ping(name)
    # Here too.
    except Exception as failure:  # noqa: BLE001
        error = str(failure) or type(failure).__name__
    elapsed = (time.perf_counter() - started) * 1000
    # What is accepted while a storage is away waits for it: traffic may come all the same.
    return Dependency(f"storage:{name}", not error, round(elapsed, 2), error, required=False)


def _modules(trouble: str) -> list[Dependency]:
    return [Dependency("modules", False, 0.0, trouble, required=False)] if trouble else []


def _down(breaker: Breaker) -> Dependency:
    error = f"down for {breaker.seconds_open:.0f} s, what needs it waits: {breaker.error}"
    if breaker.retry_after:
        error = f"{error}; it asked for a pause of {breaker.retry_after:.0f} s"
    return Dependency(breaker.name, False, 0.0, error, required=False)
