"""One replica that is started again whenever it ends, until it is told to."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable

from vconflow.adapters.restarts import Restarts, how_it_ended
from vconflow.errors import Unavailable
from vconflow.replicas.channel import Metrics
from vconflow.replicas.launch import Launch, RunningReplica, launched
from vconflow.telemetry import events

__all__ = ["Keeper"]


class Keeper:
    """`failed_starts` counts the processes in a row that ended before they were ready.

    `changed` is called when it is ready, and when it is not any more; `all_metrics` are told to the
    replica when it asks.
    """

    def __init__(
        self, name: str, launch: Launch, all_metrics: Metrics, changed: Callable[[], None]
    ) -> None:
        self.name = name
        self.failed_starts = 0
        self.last_end = ""
        self.is_ready = False
        self._served = False
        self._launch = launch
        self._all_metrics = all_metrics
        self._changed = changed
        self._restarts = Restarts()
        self._running: RunningReplica | None = None
        self._going = asyncio.Event()

    def leave(self) -> None:
        """Have it leave new connections to the others, finish what it has, and end for good."""
        self._go()
        if self._running is not None:
            self._running.channel.say_leave()

    def stop(self) -> None:
        """Have it finish what it has and end for good; it answers until then."""
        self._go()
        self._signal(signal.SIGTERM)

    def read_file_again(self) -> None:
        """Have it read the configuration file. One that is just starting does so by itself."""
        if self.is_ready:
            self._signal(signal.SIGHUP)

    async def metrics(self, seconds: float) -> bytes:
        """Its own metrics. Raises Unavailable when there is none or it does not say."""
        if self._running is None or not self.is_ready:
            raise Unavailable("it is not there")
        return await self._running.channel.ask_metrics(seconds)

    async def keep(self) -> bool:
        """Keep it running until it was told to go and has gone; whether it went in order."""
        while True:
            started = time.monotonic()
            code = await self._one_life()
            if code is not None:
                self.last_end = how_it_ended(code)
            if self._going.is_set():
                events.replica_left(self.name, self.last_end)
                return code in (0, -signal.SIGTERM)
            self.failed_starts = 0 if self._served else self.failed_starts + 1
            pause = self._restarts.pause_after(time.monotonic() - started)
            events.replica_ended(self.name, self.last_end, self.failed_starts, pause)
            self._changed()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._going.wait()
                events.replica_left(self.name, self.last_end)
                return True

    async def _one_life(self) -> int | None:
        """Run one process to its end; its exit code, None if there was no starting it."""
        self._served = False
        try:
            async with launched(self._launch, self.name, self._all_metrics) as running:
                self._running = running
                # Only now there is somebody to tell.
                if self._going.is_set():
                    self._signal(signal.SIGTERM)
                try:
                    await self._watch(running)
                finally:
                    self._running, self.is_ready = None, False
                return running.process.returncode
        except OSError as error:
            # No memory, no process or no file to be had: that may pass.
            self.last_end = f"no start: {error.strerror}"
            return None

    async def _watch(self, running: RunningReplica) -> None:
        started = time.monotonic()
        ended = asyncio.create_task(running.process.wait())
        ready = asyncio.create_task(running.channel.ready.wait())
        try:
            await asyncio.wait({ended, ready}, return_when=asyncio.FIRST_COMPLETED)
            if ready.done() and not ended.done():
                self._served = self.is_ready = True
                events.replica_ready(self.name, running.process.pid, time.monotonic() - started)
                self._changed()
            await ended
        finally:
            for task in (ended, ready):
                task.cancel()

    def _go(self) -> None:
        events.replica_leaving(self.name)
        self._going.set()

    def _signal(self, number: signal.Signals) -> None:
        if self._running is not None:
            with contextlib.suppress(ProcessLookupError):
                self._running.process.send_signal(number)
