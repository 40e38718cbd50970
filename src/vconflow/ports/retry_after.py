"""How long another side asks to be left alone."""

import math
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["seconds_of"]

_LONGEST_WAIT: Final = 86400.0


def seconds_of(retry_after: str | None, now: Callable[[], float] = time.time) -> float | None:
    """Seconds by a `Retry-After` (RFC 9110, 10.2.3), which has seconds or an HTTP date.

    At most a day; None without the header, and for one that says nothing.
    """
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - now()
        except (ValueError, OverflowError):
            return None
    # No server may park a vCon for ever.
    return min(max(seconds, 0.0), _LONGEST_WAIT) if math.isfinite(seconds) else None
