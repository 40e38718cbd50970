"""Ending tasks that may not want to, and those that were never told to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable

from vconflow.errors import Retryable
from vconflow.telemetry import events

__all__ = ["cancel_all", "foreign_call", "is_told_to_end"]

_AGAIN = 0.2
_PATIENCE = 5.0


async def cancel_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait for them, some seconds at most.

    A driver or a link may take a cancellation for an error of its own and go on, so it is repeated;
    what does not end even then ends with the process.
    """
    left = {task for task in tasks if not task.done()}
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    while left and asyncio.get_running_loop().time() < deadline:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN)
    for task in left:
        events.unhandled("stop", RuntimeError(f"task {task.get_name()} does not end"))


def is_told_to_end() -> bool:
    """Whether a CancelledError that was caught is meant for this task.

    Else something that foreign code was waiting for was cancelled: a pool of its driver, say.
    """
    task = asyncio.current_task()
    return task is None or bool(task.cancelling())


@contextlib.asynccontextmanager
async def foreign_call(seconds: float) -> AsyncIterator[None]:
    """A call of a storage: it takes so many seconds at most, and its cancellations are its own.

    Raises TimeoutError, and Retryable for a CancelledError that nobody sent to this task.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except asyncio.CancelledError as error:
        if is_told_to_end():
            raise
        raise Retryable("cancelled from inside") from error
