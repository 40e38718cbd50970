"""Ending tasks that would run for ever."""

import asyncio
from collections.abc import Iterable

__all__ = ["end_all"]

_AGAIN = 0.2


async def end_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait for them.

    The driver may take a cancellation for a time-out of its own and go on: so it is repeated.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN)
