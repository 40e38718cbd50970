"""The side tasks of a replica: one that dies takes the process down instead of dying unseen."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from vconflow.pipeline.cancelling import cancel_all
from vconflow.telemetry import events

__all__ = ["Supervisor", "supervised"]


class Supervisor:
    """Starts named tasks; `failed` is set when one of them ended on its own."""

    def __init__(self) -> None:
        self.failed = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` until the supervisor closes."""
        task = asyncio.create_task(work, name=name)
        self._tasks[name] = task
        task.add_done_callback(self._ended)

    async def stop(self, name: str) -> None:
        """Cancel one task and wait for it."""
        task = self._tasks.pop(name, None)
        if task is not None:
            await cancel_all([task])

    async def finished(self, name: str) -> None:
        """Wait for a task that has been told to end by itself."""
        task = self._tasks.pop(name, None)
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._tasks.get(task.get_name()) is not task:
            return
        error = task.exception() or RuntimeError("ended before it was told to")
        self.failed.set()
        events.unhandled(f"task {task.get_name()}", error)


@asynccontextmanager
async def supervised() -> AsyncIterator[Supervisor]:
    """A supervisor whose tasks end with the context."""
    supervisor = Supervisor()
    try:
        yield supervisor
    finally:
        for name in list(supervisor._tasks):
            await supervisor.stop(name)
