"""Measuring ours and the limit by turns, so that noise of the machine hits both."""

from collections.abc import Awaitable, Callable
from statistics import median
from typing import NamedTuple

import msgspec

__all__ = ["Figure", "Measure", "Options", "Sample", "compare"]


class Options(NamedTuple):
    """How to measure. `seconds` is the length of one window; there are `windows` of each side."""

    seconds: float = 3.0
    windows: int = 5
    connections: int = 64
    generator: str = "auto"


class Sample(msgspec.Struct, frozen=True):
    """What one window gave: vCons per second, and the latency of requests in milliseconds."""

    rate: float
    p50_ms: float | None = None
    p99_ms: float | None = None


class Figure(msgspec.Struct, frozen=True):
    """A flow beside its limit. All numbers are medians over the windows.

    `ours` and `limit` are vCons per second; `ratio` is the median of the ratios of neighbouring
    windows, not the ratio of the medians; latencies are ours.
    """

    flow: str
    limit_is: str
    ours: float
    limit: float
    ratio: float
    microseconds: float
    p50_ms: float | None
    p99_ms: float | None
    ours_windows: list[float]
    limit_windows: list[float]


Measure = Callable[[float], Awaitable[Sample]]
"""Runs one window of about so many seconds."""


async def compare(
    flow: str, limit_is: str, ours: Measure, limit: Measure, options: Options
) -> Figure:
    """Measure both sides, after a short window of each that does not count."""
    warmup = min(1.0, options.seconds)
    await ours(warmup)
    await limit(warmup)
    pairs = []
    for number in range(options.windows):
        # The order changes, so that a machine that slows down favours neither side.
        if number % 2:
            base = await limit(options.seconds)
            sample = await ours(options.seconds)
        else:
            sample = await ours(options.seconds)
            base = await limit(options.seconds)
        pairs.append((sample, base))
    return _figure(flow, limit_is, pairs)


def _figure(flow: str, limit_is: str, pairs: list[tuple[Sample, Sample]]) -> Figure:
    samples, bases = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    rate = median(sample.rate for sample in samples)
    return Figure(
        flow=flow,
        limit_is=limit_is,
        ours=rate,
        limit=median(base.rate for base in bases),
        ratio=median(sample.rate / base.rate for sample, base in pairs),
        microseconds=1e6 / rate,
        p50_ms=_median([sample.p50_ms for sample in samples]),
        p99_ms=_median([sample.p99_ms for sample in samples]),
        ours_windows=[sample.rate for sample in samples],
        limit_windows=[base.rate for base in bases],
    )


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
