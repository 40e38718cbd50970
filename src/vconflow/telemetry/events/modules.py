"""Modules of the reference's contract, which run in threads."""

from vconflow.telemetry import metrics
from vconflow.telemetry.log import get_logger

__all__ = ["module_back", "module_counted", "module_measured", "module_stuck"]

_log = get_logger()


def module_stuck(call: str, stuck: int) -> None:
    """A call took too long and cannot be ended; so many threads are stuck by now."""
    metrics.MODULE_THREADS_STUCK().set(stuck)
    _log.warning("module_stuck", call=call, stuck=stuck)


def module_back(call: str, stuck: int) -> None:
    """A call that took too long has ended after all."""
    metrics.MODULE_THREADS_STUCK().set(stuck)
    _log.warning("module_back", call=call, stuck=stuck)


def module_counted(name: str, value: float) -> None:
    """A module counted something of its own."""
    metrics.MODULE_EVENTS(name).inc(max(value, 0))


def module_measured(name: str, value: float) -> None:
    """A module measured something of its own."""
    metrics.MODULE_VALUE(name).set(value)
