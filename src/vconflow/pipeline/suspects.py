"""Entries that may have killed a process: they take turns, so that only the guilty one is blamed.

Whatever ran when a process died has crashed along with it, and nobody can tell a poisonous vCon
from a `kill -9`. So entries that come back after a crash begin one at a time, more at once with
every one that gets through; one on its last chance runs alone, and after all others, so that
kills in a row do not condemn the innocent. Those that wait do not crash: their record says so.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

__all__ = ["Suspects"]

_MOST = 16
"""At once: so many innocent ones at most are on their last chance after one more crash."""

_Waiting = tuple[int, int, asyncio.Future[None]]


class Suspects:
    """The turns of one replica, over all its chains. `limit` crashes end an entry."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._width = 1
        self._running = 0
        self._alone = False
        self._waiting: list[_Waiting] = []
        self._numbers = count()

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    @asynccontextmanager
    async def turn(self, crashes: int) -> AsyncIterator[None]:
        """Wait for the turn of an entry with so many crashes, and keep it during the context.

        One without a crash need not wait, nor one that has had its last chance.
        """
        if not 0 < crashes < self._limit:
            yield
            return
        await self._wait(crashes)
        survived = False
        try:
            yield
            survived = True
        finally:
            self._width = min(_MOST, self._width + survived)
            self._end()

    async def _wait(self, crashes: int) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        item = (crashes, next(self._numbers), future)
        heapq.heappush(self._waiting, item)
        # Not at once: those that came back together are to be compared first.
        loop.call_soon(self._admit)
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled():
                self._end()
            elif item in self._waiting:
                self._waiting.remove(item)
                heapq.heapify(self._waiting)
            raise

    def _end(self) -> None:
        self._running -= 1
        self._alone = False
        self._admit()

    def _admit(self) -> None:
        while self._waiting and not self._alone and self._running < self._width:
            crashes, _, future = self._waiting[0]
            last_chance = crashes >= self._limit - 1
            if last_chance and self._running:
                return
            heapq.heappop(self._waiting)
            if not future.cancelled():
                self._running += 1
                self._alone = last_chance
                future.set_result(None)
