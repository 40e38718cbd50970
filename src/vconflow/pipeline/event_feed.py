"""What happens to vCons, told to many listeners over one subscription.

The subscription exists only while somebody listens. A listener that does not keep up is dropped and
told, so that it costs neither memory nor the others' time.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

from vconflow.errors import Overloaded, Retryable, Unavailable
from vconflow.ports.clock import Clock
from vconflow.ports.event_source import EventSource
from vconflow.ports.history import HistoryRecord
from vconflow.telemetry import events

__all__ = ["EventFeed", "Gap", "Listener", "Wanted", "open_event_feed"]

_MOST_EVENTS = 1_000
_MOST_BYTES = 1 << 20
_RECORD_BYTES = 300
"""What a record takes at least; its error comes on top."""
_PATIENCE = 5.0
"""Seconds that a listener waits for the subscription."""
_PAUSE = 1.0
_FULL = 10.0

Wanted = Callable[[HistoryRecord], bool]
End = Literal["slow", "stopping", "failed"]


class Gap:
    """Stands where events may be missing, because Redis was away."""


class Listener:
    """The events of one client, until it is too slow or the feed ends.

    `ended` says why nothing more comes; `missed` counts what a slow one did not get.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._waiting: deque[HistoryRecord | Gap] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._end = asyncio.Event()
        self.ended: End | Literal[""] = ""
        self.missed = 0

    async def next(self) -> list[HistoryRecord | Gap]:
        """What has come, at least one; empty when `ended` and everything before was returned."""
        while not self._waiting and not self.ended:
            self._news.clear()
            await self._news.wait()
        taken = list(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        return taken

    def put(self, event: HistoryRecord | Gap) -> None:
        """Give an event to the client; from the first on that finds no room, none."""
        if isinstance(event, HistoryRecord) and not self._wanted(event):
            return
        size = _RECORD_BYTES + len(event.error) if isinstance(event, HistoryRecord) else 0
        full = len(self._waiting) >= _MOST_EVENTS or self._bytes + size > _MOST_BYTES
        if self.ended or full:
            self.missed += 1
            self.end("slow")
            return
        self._waiting.append(event)
        self._bytes += size
        self._news.set()

    def end(self, why: End) -> None:
        """Let it get what is waiting, and nothing more."""
        self.ended = self.ended or why
        self._news.set()
        self._end.set()

    async def wait_for_end(self) -> None:
        """Return when nothing more comes."""
        await self._end.wait()


class EventFeed:
    """Fans events out; use `open_event_feed`."""

    def __init__(self, source: EventSource, clock: Clock, limit: int) -> None:
        self._source = source
        self._clock = clock
        self._limit = limit
        self._listeners: set[Listener] = set()
        self._subscription: asyncio.Task[None] | None = None
        self._live = asyncio.Event()
        self._was_live = False
        self._closed = False

    @property
    def listeners(self) -> int:
        """How many there are now."""
        return len(self._listeners)

    @asynccontextmanager
    async def listen(self, wanted: Wanted) -> AsyncIterator[Listener]:
        """Events from now on.

        Raises Unavailable while Redis is away or the process is stopping, Overloaded when too many
        listen already.
        """
        if self._closed:
            raise Unavailable("vconflow is stopping")
        if len(self._listeners) >= self._limit:
            raise Overloaded("too many clients listen to events", retry_after=_FULL)
        listener = Listener(wanted)
        self._listeners.add(listener)
        try:
            await self._subscribed()
            yield listener
        finally:
            self._listeners.discard(listener)
            if not self._listeners:
                await self._unsubscribe()

    async def _subscribed(self) -> None:
        if self._subscription is None:
            self._subscription = asyncio.create_task(self._follow(), name="event-feed")
            self._subscription.add_done_callback(self._ended)
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._live.wait()
        except TimeoutError:
            raise Unavailable("Redis does not tell of events now") from None

    async def _follow(self) -> None:
        while True:
            try:
                await self._source.listen(self._heard, self._listening)
            except Retryable as error:
                events.event_feed_lost(error)
            self._live.clear()
            await self._clock.sleep(_PAUSE)

    def _ended(self, subscription: asyncio.Task[None]) -> None:
        if subscription.cancelled():
            return
        events.unhandled("event feed", subscription.exception() or RuntimeError("it ended"))
        self._subscription = None
        self._live.clear()
        for listener in self._listeners:
            listener.end("failed")

    def _listening(self) -> None:
        if self._was_live:
            self._tell(Gap())
        self._was_live = True
        self._live.set()

    def _heard(self, record: HistoryRecord) -> None:
        self._tell(record)

    def _tell(self, event: HistoryRecord | Gap) -> None:
        for listener in self._listeners:
            listener.put(event)

    async def _unsubscribe(self) -> None:
        subscription, self._subscription = self._subscription, None
        self._live.clear()
        self._was_live = False
        if subscription is not None:
            subscription.cancel()
            await asyncio.gather(subscription, return_exceptions=True)

    def close(self) -> None:
        """Let every listener end, and take no more: the process is stopping."""
        self._closed = True
        for listener in self._listeners:
            listener.end("stopping")

    async def aclose(self) -> None:
        """Close, and end the subscription."""
        self.close()
        await self._unsubscribe()


@asynccontextmanager
async def open_event_feed(
    source: EventSource, clock: Clock, *, limit: int
) -> AsyncIterator[EventFeed]:
    """The feed of a replica for at most `limit` listeners."""
    feed = EventFeed(source, clock, limit)
    try:
        yield feed
    finally:
        await feed.aclose()
