"""Token buckets, in this process: each replica counts alone."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from vconflow.ports.access import RateLimit

__all__ = ["Buckets", "Verdict"]


class Verdict(NamedTuple):
    """Whether a request may go on.

    `remaining` could follow at once; `reset` is the seconds until all of the limit can, and
    `retry_after` those until the next one can.
    """

    allowed: bool
    limit: int
    remaining: int
    reset: int
    retry_after: float


class Buckets:
    """One bucket per name, at most `most` of them: the one unused for longest is forgotten."""

    def __init__(self, most: int = 10_000, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._monotonic = monotonic
        # Tokens, and when they were counted.
        self._held: OrderedDict[tuple[str, RateLimit], tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def take(self, name: str, rate: RateLimit) -> Verdict:
        """Take a token if there is one."""
        tokens, now = self._count(name, rate)
        allowed = tokens >= 1
        tokens -= allowed
        self._held[name, rate] = tokens, now
        self._held.move_to_end((name, rate))
        if len(self._held) > self._most:
            self._held.popitem(last=False)
        return _verdict(tokens, rate, allowed=allowed)

    def look(self, name: str, rate: RateLimit) -> Verdict:
        """Tell what `take` would say, and take nothing."""
        tokens, _ = self._count(name, rate)
        return _verdict(tokens, rate, allowed=tokens >= 1)

    def _count(self, name: str, rate: RateLimit) -> tuple[float, float]:
        now = self._monotonic()
        tokens, since = self._held.get((name, rate), (float(rate.burst), now))
        return min(rate.burst, tokens + (now - since) * rate.per_second), now


def _verdict(tokens: float, rate: RateLimit, *, allowed: bool) -> Verdict:
    return Verdict(
        allowed,
        rate.burst,
        int(tokens),
        math.ceil((rate.burst - tokens) / rate.per_second),
        max(0.0, 1 - tokens) / rate.per_second,
    )
