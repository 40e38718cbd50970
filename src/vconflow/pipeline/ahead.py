"""Entries that were read ahead: a busy chain goes on with them as soon as it has a free slot.

Redis works on a batch while the links work on another. So that neither waits for the other, a chain
that is quick gets some entries more than it may work on; one that is slow gets none, since another
replica may have a slot for them.
"""

from collections import deque
from collections.abc import Callable, Iterator

from vconflow.model.entry import Entry
from vconflow.ports.documents import Document

__all__ = ["Ahead", "Pace"]

WINDOW = 0.05
"""Seconds: what is read ahead is no more than what was finished in about so long."""
MOST = 256
_FRESH = 1.0


class Pace:
    """How many entries each chain finished in the last full window. Times are monotonic seconds."""

    def __init__(self, now: Callable[[], float], window: float = WINDOW) -> None:
        self._now = now
        self._window = window
        self._counts: dict[str, tuple[float, int, int]] = {}

    def count(self, chain: str) -> None:
        """An entry of the chain was finished."""
        began, before, count = self._turned(chain)
        self._counts[chain] = began, before, count + 1

    def of(self, chain: str) -> int:
        """Entries per window, as they were lately."""
        return self._turned(chain)[1]

    def _turned(self, chain: str) -> tuple[float, int, int]:
        now = self._now()
        began, before, count = self._counts.get(chain, (now, 0, 0))
        passed = now - began
        if passed < self._window:
            return began, before, count
        return now, count if passed < 2 * self._window else 0, 0


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

    def take_all(self) -> Iterator[tuple[Entry, Document | None]]:
        """All of them."""
        for chain in self.chains:
            while self.has(chain):
                yield self.take(chain)
