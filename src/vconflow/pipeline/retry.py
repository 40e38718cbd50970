"""When a failed step is tried again."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from vconflow.errors import (
    Overloaded,
    PartialFailure,
    Permanent,
    Refused,
    Retryable,
    SourceAway,
    Unavailable,
)

__all__ = ["RetryPolicy", "asked_to_wait", "is_outage", "is_retryable"]

_LONGEST_ASKED = 3600.0


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff with full jitter: between 0 and `base` * 2^(n-1) seconds, at most `max`.

    `attempts` counts the first try.
    """

    attempts: int = 5
    base: float = 1.0
    max: float = 300.0

    def delay(self, attempt: int, error: Exception, random: Callable[[], float]) -> float:
        """Seconds to wait after failed attempt number `attempt`."""
        # Beyond 2^32 the cap has long decided, and floats overflow.
        ceiling = min(self.max, self.base * 2.0 ** min(attempt - 1, 32))
        return max(ceiling * random(), asked_to_wait(error))

    def after(self, waited: float) -> int:
        """Which attempt it is `waited` seconds after the first, if every pause doubles the wait.

        For attempts that nobody counts.
        """
        return 1 + max(0, math.frexp(waited / self.base)[1])


def asked_to_wait(error: BaseException) -> float:
    """How many seconds the other side asked us to stay away, an hour at most."""
    asked = error.retry_after if isinstance(error, Retryable) else None
    return min(asked or 0.0, _LONGEST_ASKED)


def is_retryable(error: BaseException) -> bool:
    """Whether the same step may succeed later.

    Unknown exceptions count as retryable: most failures of the moment have no type of ours, and
    attempts are limited. A link that tries to end the process does not get to try again.
    """
    return isinstance(error, Exception) and not isinstance(error, Permanent | PartialFailure)


def is_outage(error: BaseException) -> bool:
    """Whether it tells that a link's or storage's service is away, rather than of this one vCon.

    An exception nobody expected is more likely a bug, and a bug must not stop a chain. When Redis
    is away, so is everything else. Where a vCon points to is its own affair, and how much is under
    way is ours. Who refuses is there.
    """
    return isinstance(error, Retryable | TimeoutError | OSError) and not isinstance(
        error, Unavailable | Overloaded | SourceAway | Refused
    )
