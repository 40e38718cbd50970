"""Measuring ours and its limits by turns, so that noise of the machine hits all of them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec

__all__ = ["Figure", "Limit", "Measure", "Options", "Sample", "Target", "compare", "figure_of"]

PLOTS = Path(__file__).parents[1] / "plots"


def _say_nothing(_: str) -> None:
    pass


class Options(NamedTuple):
    """How to measure. `seconds` is the length of one window; there are `windows` of each side.

    `scale` is what part of the largest sizes `growth` and `soak_memory` go up to; `plots` is the
    folder of the curves. `advance` is told what was just done, whenever a window of every side of
    a comparison is over.
    """

    seconds: float = 2.0
    windows: int = 5
    connections: int = 64
    generator: str = "auto"
    scale: float = 0.1
    plots: Path = PLOTS
    advance: Callable[[str], None] = _say_nothing

    def as_dict(self) -> dict[str, object]:
        """What a report says of it."""
        said = (field for field in self._fields if field not in ("advance", "plots"))
        return {name: getattr(self, name) for name in said}


class Target(msgspec.Struct, frozen=True):
    """What the ratio has to be at least, or at most."""

    bound: float
    at_most: bool = False

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound:g}"

    def is_reached(self, ratio: float) -> bool:
        """Whether a ratio, as it is, does."""
        return ratio <= self.bound if self.at_most else ratio >= self.bound


class Sample(msgspec.Struct, frozen=True):
    """What one window gave: vCons per second (or what the flow measures instead of a rate).

    Latencies of requests are in milliseconds. `cpu` is microseconds of CPU time per vCon, by
    process.
    """

    value: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    cpu: dict[str, float] = {}


class Figure(msgspec.Struct, frozen=True):
    """A flow beside a limit. All numbers are medians over the windows.

    `ours` and `limit` are in `unit`; `ratio` is the median of the ratios of neighbouring windows,
    not the ratio of the medians; latencies are ours. `cpu` and `limit_cpu` are microseconds per
    vCon and process. `cpu_ratio` is that of the limit by ours: more is better, as for rates.
    `note` is anything else that was seen.
    """

    flow: str
    unit: str
    ours: float
    limit: float
    limit_is: str
    ratio: float
    target: Target | None
    reached: bool | None
    p50_ms: float | None
    p99_ms: float | None
    cpu: dict[str, float]
    limit_cpu: dict[str, float]
    cpu_ratio: float | None
    ours_windows: list[float]
    limit_windows: list[float]
    note: str = ""


Measure = Callable[[float], Awaitable[Sample]]
"""Runs one window of about so many seconds."""


class Limit(NamedTuple):
    """One limit: what it is, how to measure it, and what part of it ours is to be.

    `label` tells the figures of a flow with several limits apart.
    """

    what: str
    measure: Measure
    target: Target | None = None
    label: str = ""


async def compare(
    flow: str, ours: Measure, *limits: Limit, options: Options, unit: str = "/s"
) -> AsyncIterator[Figure]:
    """Measure all sides, after a short window of each that does not count; a figure per limit."""
    measures = [ours, *(limit.measure for limit in limits)]
    for measure in measures:
        await measure(min(1.0, options.seconds))
    options.advance(flow)
    rounds = []
    for number in range(options.windows):
        # The order changes, so that a machine that slows down favours neither side.
        order = range(len(measures))[:: -1 if number % 2 else 1]
        taken = {place: await measures[place](options.seconds) for place in order}
        rounds.append([taken[place] for place in sorted(taken)])
        options.advance(flow)
    for place, limit in enumerate(limits, 1):
        name = f"{flow}, {limit.label}" if limit.label else flow
        pairs = [(samples[0], samples[place]) for samples in rounds]
        yield figure_of(name, limit.what, pairs, target=limit.target, unit=unit)


def figure_of(
    flow: str,
    limit_is: str,
    pairs: list[tuple[Sample, Sample]],
    *,
    target: Target | None = None,
    unit: str = "/s",
) -> Figure:
    """The figure of neighbouring windows of ours and of the limit."""
    samples, bases = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    ratio = median(sample.value / base.value for sample, base in pairs)
    return Figure(
        flow=flow,
        unit=unit,
        ours=median(sample.value for sample in samples),
        limit=median(base.value for base in bases),
        limit_is=limit_is,
        ratio=ratio,
        target=target,
        reached=target.is_reached(ratio) if target else None,
        p50_ms=_median([sample.p50_ms for sample in samples]),
        p99_ms=_median([sample.p99_ms for sample in samples]),
        cpu=_medians([sample.cpu for sample in samples]),
        limit_cpu=_medians([base.cpu for base in bases]),
        cpu_ratio=_cpu_ratio(pairs),
        ours_windows=[sample.value for sample in samples],
        limit_windows=[base.value for base in bases],
    )


def _cpu_ratio(pairs: list[tuple[Sample, Sample]]) -> float | None:
    costs = [(sum(sample.cpu.values()), sum(base.cpu.values())) for sample, base in pairs]
    return _median([base / ours if ours and base else None for ours, base in costs])


def _medians(costs: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(cost[name] for cost in costs) for name in costs[0]}


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
