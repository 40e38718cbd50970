"""Whether memory stays flat."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression, median

__all__ = ["Flatness", "judge"]

_WARM_UP = 60.0
_SHORTEST = 120.0
_MIB = 1 << 20


@dataclass(frozen=True)
class Flatness:
    """First and last quarter are medians in MiB, `slope` is in MiB a minute.

    `flat` is None when the process did not live long enough to tell.
    """

    first_quarter: float
    last_quarter: float
    slope: float
    flat: bool | None


def judge(samples: Sequence[tuple[float, int]]) -> Flatness | None:
    """Judge samples of (seconds, bytes); the first minute, in which caches fill, does not count.

    Clearly not flat is: a quarter and 16 MiB more in the last quarter of the time than in the
    first. None without enough samples to say anything.
    """
    began = samples[0][0] if samples else 0.0
    warm = [sample for sample in samples if sample[0] - began >= _WARM_UP]
    long_enough = bool(warm) and warm[-1][0] - warm[0][0] >= _SHORTEST
    counted = warm if long_enough else list(samples)
    if len(counted) < 8:
        return None
    quarter = len(counted) // 4
    values = [size / _MIB for _, size in counted]
    first, last = median(values[:quarter]), median(values[-quarter:])
    slope = linear_regression([at / 60 for at, _ in counted], values).slope
    grows = last > first * 1.25 and last > first + 16
    return Flatness(first, last, slope, not grows if long_enough else None)
