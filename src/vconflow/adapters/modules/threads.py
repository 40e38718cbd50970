"""Threads that foreign code may block for ever.

Those of the standard library and of anyio are joined when the interpreter ends, so that one that
hangs would keep the process from ending; these are daemons.
"""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from queue import SimpleQueue
from typing import Any, TypeVar

from vconflow.errors import Permanent, Retryable
from vconflow.telemetry import events

__all__ = ["Threads", "open_threads"]

ResultT = TypeVar("ResultT")


class Threads:
    """Up to `most` calls at a time, each in a thread; made when needed, used again.

    A thread whose caller stopped waiting is stuck until it comes back, and another takes its place.
    With `most_stuck` of them no call is begun any more.
    """

    def __init__(self, most: int, most_stuck: int) -> None:
        self._free = asyncio.Semaphore(most)
        self._most_stuck = most_stuck
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._idle = 0
        self._is_closed = False
        self.stuck = 0

    @property
    def trouble(self) -> str:
        """Why no call is begun, empty when they are."""
        if self.stuck < self._most_stuck:
            return ""
        return f"{self.stuck} threads of modules do not come back: see module_stuck in the log"

    async def call(self, work: Callable[[], ResultT], what: str) -> ResultT:
        """See `ModuleHost.call`."""
        async with self._free:
            if self.trouble:
                raise Retryable(self.trouble)
            job = _Job(work, what)
            self._hand_over(job)
            try:
                result: ResultT = await job.result
            except asyncio.CancelledError:
                if not job.is_back:
                    self._give_up(job)
                raise
            return result

    def close(self) -> None:
        """Let idle threads end. Those that are stuck end with the process."""
        self._is_closed = True
        for _ in range(self._idle):
            self._jobs.put(None)

    def _hand_over(self, job: "_Job") -> None:
        if self._idle:
            self._idle -= 1
        else:
            threading.Thread(target=self._work, name="module", daemon=True).start()
        self._jobs.put(job)

    def _give_up(self, job: "_Job") -> None:
        job.is_given_up = True
        self.stuck += 1
        events.module_stuck(job.what, self.stuck)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            report = job.run()
            # Once the loop is closed nobody waits for anything.
            with contextlib.suppress(RuntimeError):
                job.loop.call_soon_threadsafe(self._came_back, job, *report)
            # Whatever the call left in memory is not to stay until the next one.
            del job, report

    def _came_back(self, job: "_Job", result: Any, error: BaseException | None) -> None:
        job.is_back = True
        if job.is_given_up:
            self.stuck -= 1
            events.module_back(job.what, self.stuck)
        if job.is_given_up or self._is_closed:
            # Its place was taken meanwhile.
            self._jobs.put(None)
        else:
            self._idle += 1
        if job.result.done():
            return
        if error is None:
            job.result.set_result(result)
        else:
            job.result.set_exception(error)


class _Job:
    def __init__(self, work: Callable[[], Any], what: str) -> None:
        self.what = what
        self.loop = asyncio.get_running_loop()
        self.result: asyncio.Future[Any] = self.loop.create_future()
        self.is_back = self.is_given_up = False
        self._work = work
        self._context = contextvars.copy_context()

    def run(self) -> tuple[Any, BaseException | None]:
        if self.is_given_up:
            return None, None
        try:
            return self._context.run(self._work), None
        # Foreign code: none of what it raises may end the thread, or the loop.
        except BaseException as error:  # noqa: BLE001
            return None, _tamed(error)


def _tamed(error: BaseException) -> BaseException:
    """What a future may raise: the loop would take some for its own end."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    tamed = Permanent(f"{type(error).__name__} was raised: {error}")
    tamed.__cause__ = error
    return tamed


@asynccontextmanager
async def open_threads(most: int, most_stuck: int) -> AsyncIterator[Threads]:
    """Threads that are let go in the end."""
    threads = Threads(most, most_stuck)
    try:
        yield threads
    finally:
        threads.close()
