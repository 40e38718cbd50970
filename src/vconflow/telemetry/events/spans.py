"""Spans on their way to a collector. Called from the thread that sends them."""

from vconflow.telemetry import metrics
from vconflow.telemetry.log import get_logger

__all__ = ["collector_back", "collector_lost", "spans_sent"]

_log = get_logger()


def spans_sent(count: int, *, arrived: bool) -> None:
    """So many spans were sent, or given up."""
    metrics.SPANS("sent" if arrived else "lost").inc(count)


def collector_lost() -> None:
    """No collector takes the spans: they are given up, and nothing else suffers."""
    _log.warning("collector_lost")


def collector_back() -> None:
    """The collector takes spans again."""
    _log.warning("collector_back")
