"""Breakers of storages and of the services of links."""

from vconflow.telemetry import metrics
from vconflow.telemetry.events.errors import LONGEST_ERROR
from vconflow.telemetry.log import get_logger

__all__ = [
    "breaker_changed",
    "breaker_closed",
    "breaker_gone",
    "breaker_opened",
]

_log = get_logger()


def breaker_changed(name: str, *, is_open: bool) -> None:
    """A breaker opened, closed or is known from now on."""
    metrics.BREAKER_OPEN(name).set(is_open)


def breaker_gone(name: str) -> None:
    """What a breaker guarded is not configured any more."""
    metrics.BREAKER_OPEN.forget(name)


def breaker_opened(name: str, error: str) -> None:
    """A storage or a link's service is down, not just for a moment; what needs it waits."""
    _log.warning("breaker_opened", breaker=name, error=error[:LONGEST_ERROR])


def breaker_closed(name: str, seconds: float) -> None:
    """It is back after so long."""
    _log.warning("breaker_closed", breaker=name, seconds=round(seconds, 3))
