"""A clock that stands still until it is told to move."""

import asyncio
import heapq
from itertools import count

__all__ = ["ManualClock"]

_TURNS = 20
"""Turns of the event loop that whoever is woken gets before time goes on."""


class ManualClock:
    """Time moves by `advance` only; whoever sleeps is woken at its moment, in order."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._start = start
        self._now = start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now(self) -> float:
        """Unix seconds."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._now - self._start

    async def sleep(self, seconds: float) -> None:
        """Wait until somebody has advanced the clock by that much."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Move on, stopping at each sleeper's moment: one that sleeps again may wake again."""
        until = self._now + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            moment, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():  # a sleeper that was cancelled stays in the heap
                self._now = max(self._now, moment)
                woken.set_result(None)
                await self._settle()
        self._now = until

    @staticmethod
    async def _settle() -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
