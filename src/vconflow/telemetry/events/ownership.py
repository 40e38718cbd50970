"""Which replica owns an entry."""

from vconflow.telemetry import metrics
from vconflow.telemetry.log import get_logger

__all__ = [
    "lease_lost",
    "recovered",
    "took_over",
]

_log = get_logger()


def lease_lost(list_name: str, entry: str) -> None:
    """Another replica owns an entry that this one works on; the work stops."""
    metrics.LEASES_LOST(list_name).inc()
    _log.warning("lease_lost", list=list_name, entry=entry)


def took_over(list_name: str, count: int) -> None:
    """Entries of a replica that died, or hangs, are ours now."""
    metrics.TAKEN_OVER(list_name).inc(count)
    _log.warning("took_over", list=list_name, count=count)


def recovered(list_name: str, count: int) -> None:
    """Entries that an earlier life of this replica left unfinished go on."""
    metrics.RECOVERED(list_name).inc(count)
    _log.info("recovered", list=list_name, count=count)
