"""Noticing that the configuration has changed, in the file or in the store."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from vconflow.errors import Permanent, Unavailable
from vconflow.live_config.file import ConfigFile
from vconflow.live_config.live import LiveConfig
from vconflow.ports.config_store import ConfigStore
from vconflow.telemetry import events

__all__ = ["Watch", "watching"]

_PAUSE_SECONDS: Final = 5.0
"""Before the file is watched again after that failed."""


class Watch:
    """What the tasks of a replica are told from outside."""

    def __init__(self) -> None:
        self._nudged = asyncio.Event()
        self._is_asked = False

    def read_file_again(self) -> None:
        """Read the file even if it looks as before: somebody sent a signal."""
        self._is_asked = True
        self._nudged.set()

    def look_at_file(self) -> None:
        """See whether the file has changed."""
        self._nudged.set()

    async def next(self, seconds: float) -> str:
        """Wait until one of these, or for so long; the source of what is found then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._nudged.wait()
        source = "signal" if self._is_asked else "file"
        self._is_asked = False
        self._nudged.clear()
        return source


@asynccontextmanager
async def watching(
    live: LiveConfig, store: ConfigStore, file: ConfigFile | None, *, poll: float
) -> AsyncIterator[Watch]:
    """Follow the store and the file meanwhile, looking at each every `poll` seconds at least."""
    watch = Watch()
    work = [_follow(live, store, poll)]
    if file is not None:
        work += [_reread(live, watch, poll), _notice(file, watch)]
    tasks = [asyncio.create_task(it, name="configuration") for it in work]
    try:
        yield watch
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _follow(live: LiveConfig, store: ConfigStore, poll: float) -> None:
    while True:
        await store.wait_for_news(poll)
        await _try(live.catch_up)


async def _reread(live: LiveConfig, watch: Watch, poll: float) -> None:
    while True:
        source = await watch.next(poll)
        await _try(partial(live.look_at_file, source))


async def _notice(file: ConfigFile, watch: Watch) -> None:
    while True:
        try:
            async for _ in file.changes():
                watch.look_at_file()
        # The watcher of the system says in many ways that it cannot; the file is polled as well.
        except Exception as error:  # noqa: BLE001
            events.config_unwatched(error)
            await asyncio.sleep(_PAUSE_SECONDS)


async def _try(look: Callable[[], Awaitable[None]]) -> None:
    """Look once; the next time comes by itself."""
    try:
        await look()
    except (Unavailable, Permanent):
        pass  # Redis is away: whoever works with it says so
    # A bug here must not end the watch for the next, good configuration.
    except Exception as error:  # noqa: BLE001
        events.unhandled("configuration", error)
