"""A histogram for the event loop: what every vCon goes through must not cost a lock each time."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

__all__ = ["Timing", "Timings"]


class Timing:
    """What was observed under one set of label values. Only one thread may observe."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count a time in the first bucket whose bound it does not exceed."""
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.total += seconds


class Timings(Collector):
    """A Prometheus histogram by label values, shown like the client's own."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        self._bounds = tuple(map(float, bounds))
        self._shown_bounds = [*map(str, self._bounds), "+Inf"]
        self._children: dict[tuple[str, ...], Timing] = {}

    def labels(self, *values: str) -> Timing:
        """The child of these values, made when it is asked for first."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = Timing(self._bounds)
        return child

    def remove(self, *values: str) -> None:
        """Show a child no more."""
        self._children.pop(values, None)

    def describe(self) -> Iterator[HistogramMetricFamily]:
        yield self._family()

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Read all children; another thread than the observing one may do this."""
        family = self._family()
        for values, child in list(self._children.items()):
            family.add_metric(values, self._cumulative(child.counts), child.total)
        yield family

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._name, self._text, labels=self._labels)

    def _cumulative(self, counts: Sequence[int]) -> list[tuple[str, float]]:
        total, buckets = 0, []
        for bound, count in zip(self._shown_bounds, counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets
