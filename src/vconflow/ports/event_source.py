"""Hearing what happens to vCons while it happens, in whatever replica."""

from collections.abc import Callable
from typing import Protocol

from vconflow.ports.history import HistoryRecord

__all__ = ["EventSource"]


class EventSource(Protocol):
    """The records of `ports.history` while they are written; none is kept for who is away."""

    async def listen(
        self, heard: Callable[[HistoryRecord], None], listening: Callable[[], None]
    ) -> None:
        """Call `heard` with every record until cancelled.

        Calls `listening` from when on that is so, and again when records may have been missed.
        Raises Unavailable when the connection is lost.
        """
        ...
