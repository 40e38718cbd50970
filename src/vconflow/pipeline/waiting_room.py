"""Entries that are ours and rest: until a retry is due, or until what they need is back."""

from collections import Counter
from collections.abc import Callable

from vconflow.pipeline.breaker import Breakers
from vconflow.ports.clock import Clock
from vconflow.ports.ledger import Progress

__all__ = ["WaitingRoom"]

Key = tuple[str, str]


class WaitingRoom:
    """Holds at most `limit` entries per chain; who asks `is_full` stops reading then.

    A resting entry holds no slot and no document. `on_free` is called when one has left.
    """

    def __init__(
        self, clock: Clock, breakers: Breakers, limit: int, on_free: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._breakers = breakers
        self._limit = limit
        self._on_free = on_free
        self._count: Counter[str] = Counter()
        self.keys: set[Key] = set()

    def count(self, chain: str) -> int:
        """How many entries of the chain rest."""
        return self._count[chain]

    def is_full(self, chain: str) -> bool:
        """Whether so many entries of the chain rest that no more should be begun."""
        return self._count[chain] >= self._limit

    def _seconds_left(self, progress: Progress) -> float:
        return progress.due / 1000 - self._clock.now()

    async def rest(self, key: Key, chain: str, progress: Progress) -> None:
        """Return when the entry may go on."""
        if not progress.parked and self._seconds_left(progress) <= 0:
            return
        self._count[chain] += 1
        self.keys.add(key)
        try:
            await self._breakers.passage(progress.parked)
            if (seconds := self._seconds_left(progress)) > 0:
                await self._clock.sleep(seconds)
        finally:
            self.keys.discard(key)
            self._count[chain] -= 1
            self._on_free()
