"""Several replicas under one supervisor."""

from vconflow.telemetry import metrics
from vconflow.telemetry.log import get_logger

__all__ = [
    "replica_ended",
    "replica_leaving",
    "replica_left",
    "replica_metrics_missing",
    "replica_ready",
    "replicas_counted",
    "replicas_resized",
]

_log = get_logger()


def replica_ready(name: str, pid: int, seconds: float) -> None:
    """A replica serves, so long after its start."""
    _log.info("replica_ready", replica=name, pid=pid, seconds=round(seconds, 3))


def replica_ended(name: str, how: str, in_a_row: int, again_in: float) -> None:
    """A replica ended by itself and is started again; so often in a row it was not ready before."""
    metrics.REPLICA_RESTARTS(name).inc()
    _log.error(
        "replica_ended", replica=name, how=how, failed_starts=in_a_row, again_in=round(again_in, 1)
    )


def replica_leaving(name: str) -> None:
    """A replica was told to finish what it has and end."""
    _log.info("replica_leaving", replica=name)


def replica_left(name: str, how: str) -> None:
    """A replica has ended as it was told to."""
    _log.info("replica_left", replica=name, how=how)


def replicas_resized(wanted: int) -> None:
    """From now on there are to be so many."""
    _log.info("replicas_resized", wanted=wanted)


def replicas_counted(wanted: int, ready: int) -> None:
    """So many are to be there, and so many serve."""
    metrics.REPLICAS("wanted").set(wanted)
    metrics.REPLICAS("ready").set(ready)


def replica_metrics_missing(name: str) -> None:
    """A replica did not say its metrics in time: it is stuck, or just starting or ending."""
    _log.warning("replica_metrics_missing", replica=name)
