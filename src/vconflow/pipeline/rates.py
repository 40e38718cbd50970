"""How many entries a chain finishes per second."""

from collections import Counter, deque
from collections.abc import Mapping

__all__ = ["Rates"]


class Rates:
    """Counts in memory, over about the last `window` seconds. Times are monotonic seconds."""

    def __init__(self, window: float = 60.0) -> None:
        self._window = window
        self._totals: Counter[str] = Counter()
        self._samples: deque[tuple[float, Mapping[str, int]]] = deque()

    def count(self, chain: str) -> None:
        """An entry of the chain was finished."""
        self._totals[chain] += 1

    def total(self, chain: str) -> int:
        """How many entries of the chain were finished."""
        return self._totals[chain]

    def sample(self, now: float) -> None:
        """Remember how far the counts are; to be called every few seconds."""
        self._samples.append((now, dict(self._totals)))
        # One sample from before the window stays: it is what the window is measured from.
        while len(self._samples) > 1 and self._samples[1][0] <= now - self._window:
            self._samples.popleft()

    def rate(self, chain: str, now: float) -> float:
        """Entries per second."""
        if not self._samples:
            return 0.0
        since, totals = self._samples[0]
        count = self._totals[chain] - totals.get(chain, 0)
        return count / max(1.0, now - since)
