"""Dates as vCons write them: RFC 3339, and what else is found in the wild."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["instant", "rfc3339"]

_LEAP_SECOND = re.compile(r"(?<=:\d\d):60")


def instant(text: str) -> float:
    """Return the Unix seconds of a date.

    RFC 3339 with any number of decimals, a leap second, a missing zone (UTC is meant) and RFC 2822
    are understood. Raises ValueError, which does not quote the text.
    """
    moment = _iso(text) or _rfc2822(text)
    if moment is None:
        raise ValueError("not an RFC 3339 date")
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError):
        raise ValueError("the date is out of range") from None


def rfc3339(moment: datetime) -> str:
    """Return the date as vconflow writes it: UTC, microseconds, `+00:00`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    # fromisoformat knows neither a small z, spaces around, nor a leap second; the instant of a
    # leap second is indexed as the second before it.
    try:
        return datetime.fromisoformat(_LEAP_SECOND.sub(":59", text.strip().upper(), count=1))
    except ValueError:
        return None


def _rfc2822(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
