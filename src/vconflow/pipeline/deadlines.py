"""Giving up on answers that do not come."""

import asyncio
from collections import deque
from typing import Any

from vconflow.errors import Unavailable

__all__ = ["Deadlines"]

_LONGEST_PAUSE = 1.0


class Deadlines:
    """Ends futures that are not done after `patience` seconds, give or take a second.

    There is one timer for all of them: one each would cost more than some of what they wait for.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._pause = min(_LONGEST_PAUSE, patience / 8)
        self._futures: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, future: asyncio.Future[Any]) -> None:
        """Have the future raise `Unavailable` when its time is over."""
        loop = future.get_loop()
        self._futures.append((loop.time() + self._patience, future))
        if self._timer is None:
            self._timer = loop.call_later(self._pause, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        while self._futures:
            deadline, future = self._futures[0]
            if not future.done():
                if deadline > now:
                    break
                # If it was not begun, it never will be; else its effect is unknown.
                future.set_exception(Unavailable("no answer in time"))
            self._futures.popleft()
        self._timer = loop.call_later(self._pause, self._look, loop) if self._futures else None
