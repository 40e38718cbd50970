"""Instruments for the event loop: what every vCon goes through must not cost a lock each time.

Only one thread may count and observe; another may read.
"""

from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

__all__ = ["ByLabels", "Tallies", "Tally", "Timing", "Timings"]

ChildT = TypeVar("ChildT")
FamilyT = TypeVar("FamilyT", CounterMetricFamily, HistogramMetricFamily)


class Tally:
    """What was counted under one set of label values."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total = 0

    def inc(self, number: int = 1) -> None:
        """Count so many more."""
        self.total += number


class Timing:
    """What was observed under one set of label values."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count a time in the first bucket whose bound it does not exceed."""
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.total += seconds


class ByLabels(Collector, Generic[ChildT, FamilyT]):
    """An instrument with a child for each set of label values."""

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        self._children: dict[tuple[str, ...], ChildT] = {}

    def labels(self, *values: str) -> ChildT:
        """The child of these values, made when it is asked for first."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = self._make()
        return child

    def remove(self, *values: str) -> None:
        """Show a child no more."""
        self._children.pop(values, None)

    def describe(self) -> Iterator[FamilyT]:
        yield self._family()

    def collect(self) -> Iterator[FamilyT]:
        """Read all children."""
        family = self._family()
        for values, child in list(self._children.items()):
            self._show(family, values, child)
        yield family

    @abstractmethod
    def _make(self) -> ChildT: ...

    @abstractmethod
    def _family(self) -> FamilyT: ...

    @abstractmethod
    def _show(self, family: FamilyT, values: Sequence[str], child: ChildT) -> None:
        """Add a child to the family."""


class Tallies(ByLabels[Tally, CounterMetricFamily]):
    """A Prometheus counter by label values."""

    def _make(self) -> Tally:
        return Tally()

    def _family(self) -> CounterMetricFamily:
        return CounterMetricFamily(self._name, self._text, labels=self._labels)

    def _show(self, family: CounterMetricFamily, values: Sequence[str], child: Tally) -> None:
        family.add_metric(values, child.total)


class Timings(ByLabels[Timing, HistogramMetricFamily]):
    """A Prometheus histogram by label values, shown like the client's own."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> None:
        super().__init__(name, text, labels)
        self._bounds = tuple(map(float, bounds))
        self._shown_bounds = [*map(str, self._bounds), "+Inf"]

    def _make(self) -> Timing:
        return Timing(self._bounds)

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._name, self._text, labels=self._labels)

    def _show(self, family: HistogramMetricFamily, values: Sequence[str], child: Timing) -> None:
        family.add_metric(values, self._cumulative(child.counts), child.total)

    def _cumulative(self, counts: Sequence[int]) -> list[tuple[str, float]]:
        total, buckets = 0, []
        for bound, count in zip(self._shown_bounds, counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets
