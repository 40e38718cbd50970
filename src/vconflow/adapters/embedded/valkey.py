"""A Valkey that is started again whenever it ends."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import quote

from vconflow.adapters.embedded.folder import socket_path, take_folder
from vconflow.adapters.embedded.process import (
    Launch,
    has_answered,
    last_words,
    spawn,
    stop,
)
from vconflow.adapters.embedded.program import find_server
from vconflow.adapters.restarts import Restarts, how_it_ended
from vconflow.errors import Unavailable
from vconflow.telemetry import events

__all__ = ["EmbeddedValkey", "embedded_valkey"]


class EmbeddedValkey:
    """A server that is kept running; `url` is what a Redis client takes, over all its lives.

    `trouble` says what hinders it at the moment; it is empty while it runs.
    """

    def __init__(self, launch: Launch, process: asyncio.subprocess.Process) -> None:
        self.url = f"unix://{quote(str(launch.socket))}"
        self.trouble = ""
        self._launch = launch
        self._process = process
        self._restarts = Restarts()
        self._keeping = asyncio.create_task(self._keep_running(), name="embedded Valkey")

    @property
    def pid(self) -> int:
        """The pid of the server process; of the last one while none runs."""
        return self._process.pid

    async def failed(self) -> None:
        """Wait until nobody looks after the server any more, which takes an error of our own."""
        await asyncio.wait([self._keeping])

    async def stop(self) -> None:
        """Ask the server to write everything out and end, and wait for that."""
        self._keeping.cancel()
        await asyncio.wait([self._keeping])
        if self._process.returncode is None:
            await stop(self._process)

    async def _keep_running(self) -> None:
        began = time.monotonic()
        while True:
            code = await self._process.wait()
            lived = time.monotonic() - began
            self.trouble = f"the embedded Valkey ended ({how_it_ended(code)}) and is started again"
            words = await asyncio.to_thread(last_words, self._launch.data_dir)
            pause = self._restarts.pause_after(lived)
            events.valkey_ended(how_it_ended(code), pause, words)
            await self._start_again(pause)
            began = time.monotonic()
            if await has_answered(self._process, self._launch.socket):
                self.trouble = ""
                events.valkey_back()

    async def _start_again(self, pause: float) -> None:
        while True:
            await asyncio.sleep(pause)
            try:
                self._process = await spawn(self._launch)
            except OSError as error:
                # No memory, no process or no file to be had: that may pass as well.
                pause = self._restarts.pause_after(0)
                events.valkey_ended(f"no start: {error.strerror}", pause, "")
            else:
                return


@asynccontextmanager
async def embedded_valkey(
    data_dir: Path, *, fsync: str = "always", binary: Path | None = None
) -> AsyncIterator[EmbeddedValkey]:
    """Keep a Valkey running on `data_dir` until the context ends.

    Enter it in a thread that lives as long as the process: the server dies with that thread.
    `fsync` is Redis' appendfsync: `always`, `everysec` or `no`; `binary` overrides the search.
    Raises `ConfigError` when there is no server program or the folder cannot be written, and
    `Unavailable` when another vconflow uses the folder or the server does not start at all.
    """
    async with AsyncExitStack() as stack:
        program = await asyncio.to_thread(find_server) if binary is None else binary
        data_dir = await asyncio.to_thread(data_dir.absolute)
        lock = await asyncio.to_thread(take_folder, data_dir)
        stack.callback(lock.close)
        launch = Launch(program, data_dir, await socket_path(data_dir, stack), fsync, lock)
        server = EmbeddedValkey(launch, await _first_life(launch))
        stack.push_async_callback(server.stop)
        yield server


async def _first_life(launch: Launch) -> asyncio.subprocess.Process:
    process = await spawn(launch)
    try:
        if await has_answered(process, launch.socket):
            return process
    except BaseException:
        await stop(process)
        raise
    words = await asyncio.to_thread(last_words, launch.data_dir)
    raise Unavailable(f"the embedded Valkey did not start:\n{words}")
