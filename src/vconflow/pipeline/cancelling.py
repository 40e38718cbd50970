"""Ending tasks that may not want to."""

import asyncio
from collections.abc import Iterable

from vconflow.telemetry import events

__all__ = ["cancel_all"]

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
