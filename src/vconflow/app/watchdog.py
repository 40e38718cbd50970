"""Ends a process whose event loop is stuck: its leases run out, and others take its work over."""

import asyncio
import contextlib
import faulthandler
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from vconflow.telemetry import events

__all__ = ["EXIT_CODE", "watch_loop"]

EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h."""

_INTERVAL = 0.5


def _exit() -> None:
    # By hand: a logger may need a lock that the loop holds.
    text = f"the event loop is stuck: exit {EXIT_CODE}; its work is taken over when leases end\n"
    os.write(2, text.encode())
    # What it is stuck in.
    faulthandler.dump_traceback(all_threads=True)
    os._exit(EXIT_CODE)


@asynccontextmanager
async def watch_loop(stall: float, on_stall: Callable[[], None] = _exit) -> AsyncIterator[None]:
    """Measure how late the loop runs, and call `on_stall` when it did not for `stall` seconds.

    `on_stall` is called in a thread: the loop cannot do anything any more.
    """
    beat = [time.monotonic()]
    stopped = threading.Event()
    pulse = asyncio.create_task(_pulse(beat, min(_INTERVAL, stall / 4)))
    watcher = threading.Thread(
        target=_watch, args=(beat, stall, stopped, on_stall), name="watchdog", daemon=True
    )
    watcher.start()
    try:
        yield
    finally:
        stopped.set()
        pulse.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pulse


async def _pulse(beat: list[float], interval: float) -> None:
    while True:
        due = time.monotonic() + interval
        await asyncio.sleep(interval)
        beat[0] = time.monotonic()
        events.loop_lag(max(0.0, beat[0] - due))


def _watch(
    beat: list[float], stall: float, stopped: threading.Event, on_stall: Callable[[], None]
) -> None:
    seen = time.monotonic()
    while not stopped.wait(stall / 8):
        now = time.monotonic()
        # A machine that slept, or a process that was stopped, did not have the chance to run.
        slept, seen = now - seen > stall / 2, now
        if slept:
            beat[0] = now
        elif now - beat[0] > stall:
            on_stall()
            return
