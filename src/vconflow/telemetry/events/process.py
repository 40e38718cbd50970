"""The process and what surrounds it."""

from vconflow.telemetry import metrics
from vconflow.telemetry.log import get_logger

__all__ = [
    "conserver_data_found",
    "drain_ended",
    "drain_started",
    "loop_lag",
    "package_installed",
    "unhandled",
]

LAG_WORTH_A_LINE = 1.0

_log = get_logger()


def drain_started(inflight: int) -> None:
    """The process is stopping and lets that many entries finish."""
    _log.info("drain_started", inflight=inflight)


def drain_ended(finished: int, handed_over: int) -> None:
    """Nothing is being worked on any more; what was not finished is left to the other replicas."""
    _log.info("drain_ended", finished=finished, handed_over=handed_over)


def conserver_data_found(found: str) -> None:
    """Another conserver left data in the same Redis; `found` counts it."""
    _log.warning("conserver_data_found", found=found, hint="run vconflow migrate")


def package_installed(name: str, version: str, source: str) -> None:
    """`vconflow install` has installed a package of a third party."""
    _log.warning("package_installed", name=name, version=version, source=source)


def loop_lag(seconds: float) -> None:
    """The event loop ran a timer so much too late."""
    metrics.LOOP_LAG().observe(seconds)
    if seconds >= LAG_WORTH_A_LINE:
        _log.warning("loop_lag", seconds=round(seconds, 3))


def unhandled(where: str, error: BaseException) -> None:
    """An error that nothing expected, with its traceback: a bug of ours or of a component."""
    metrics.UNHANDLED().inc()
    _log.error("unhandled", where=where, exc_info=error)
