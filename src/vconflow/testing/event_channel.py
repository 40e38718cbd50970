"""A channel of events in memory (`ports/event_source.py`)."""

import asyncio
from collections.abc import Callable

from vconflow.errors import Unavailable
from vconflow.ports.history import HistoryRecord

__all__ = ["EventChannel"]


class EventChannel:
    """Tells those who listen what `tell` is told.

    `begun` counts how often somebody began to listen; while `error` is set, that fails.
    """

    def __init__(self) -> None:
        self.heard: set[Callable[[HistoryRecord], None]] = set()
        self.begun = 0
        self.error: Exception | None = None
        self._broken: asyncio.Future[None] | None = None

    async def listen(
        self, heard: Callable[[HistoryRecord], None], listening: Callable[[], None]
    ) -> None:
        """See `EventSource.listen`."""
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        self._broken = asyncio.get_running_loop().create_future()
        self.begun += 1
        self.heard.add(heard)
        listening()
        try:
            await self._broken
        finally:
            self.heard.discard(heard)

    def tell(self, record: HistoryRecord) -> None:
        """Let something have happened."""
        for heard in list(self.heard):
            heard(record)

    async def break_off(self, error: Exception | None = None) -> None:
        """Break the connection of who listens, or have it fail with `error`."""
        assert self._broken is not None
        self._broken.set_exception(error or Unavailable("Redis is away"))
        await asyncio.sleep(0)
