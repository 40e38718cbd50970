"""Entries that were read ahead: a busy chain goes on with them as soon as it has a free slot.

Redis works on a batch while the links work on another. So that neither waits for the other, a chain
that is quick gets some entries more than it may work on; one that is slow gets none, since another
replica may have a slot for them.
"""

from collections import deque
from collections.abc import Callable

from vconflow.model.entry import Entry
from vconflow.ports.documents import Document

__all__ = ["Ahead", "Pace"]

WINDOW = 0.05
"""Seconds: what is read ahead is no more than what was finished in about so long."""
MOST = 256
_FRESH = 1.0


class Pace:
    """How many entries each chain finished in the last window, while it is asked for all the time.

    `total` are those that a chain has finished. Times are monotonic seconds.
    """

    def __init__(
        self, total: Callable[[str], int], now: Callable[[], float], window: float = WINDOW
    ) -> None:
        self._total = total
        self._now = now
        self._window = window
        self._counts: dict[str, tuple[float, int, int]] = {}

    def of(self, chain: str) -> int:
        """Entries per window, as they were lately."""
        now, total = self._now(), self._total(chain)
        began, start, pace = self._counts.get(chain, (now, total, 0))
        passed = now - began
        if passed >= self._window:
            # Of a longer time nobody knows when in it they were finished.
            pace = total - start if passed < 2 * self._window else 0
            began, start = now, total
        self._counts[chain] = began, start, pace
        return pace


class Ahead:
    """The entries by chain, each with its document if that was found, in the order of reading.

    After a moment a document is forgotten: by then it may be another. Times are monotonic seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._waiting: dict[str, deque[tuple[Entry, Document | None, float]]] = {}

    def add(self, chain: str, entry: Entry, found: Document | None) -> None:
        """Keep one until there is a slot."""
        self._waiting.setdefault(chain, deque()).append((entry, found, self._now()))

    def has(self, chain: str) -> bool:
        """Whether one of the chain waits."""
        return chain in self._waiting

    @property
    def chains(self) -> list[str]:
        """Chains of which some wait."""
        return list(self._waiting)

    def take(self, chain: str) -> tuple[Entry, Document | None]:
        """The one of the chain that waits longest."""
        waiting = self._waiting[chain]
        entry, found, since = waiting.popleft()
        if not waiting:
            del self._waiting[chain]
        return entry, found if self._now() - since < _FRESH else None

    def take_all(self) -> list[tuple[Entry, Document | None]]:
        """All of them."""
        return [self.take(chain) for chain in self.chains for _ in range(len(self._waiting[chain]))]
