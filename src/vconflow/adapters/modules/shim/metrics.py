"""`lib.metrics`: what modules count, by name. Attributes are dropped: they may be uuids."""

from collections.abc import Callable, Mapping, Sequence

from vconflow.adapters.modules.call import current
from vconflow.telemetry import events

__all__ = [
    "increment_counter",
    "init_metrics",
    "record_histogram",
    "register_observable_gauge",
    "stats_count",
    "stats_gauge",
]


def init_metrics() -> None:
    """Nothing to do."""


def increment_counter(
    metric_name: str, value: float = 1, attributes: Mapping[str, object] | None = None
) -> None:
    """Count in `vconflow_module_events_total{name}`; nothing below 0 or out of a call."""
    _tell(events.module_counted, metric_name, value)


def stats_count(metric_name: str, value: float = 1, tags: Sequence[str] = ()) -> None:
    """The same under its older name."""
    increment_counter(metric_name, value)


def record_histogram(
    metric_name: str, value: float, attributes: Mapping[str, object] | None = None
) -> None:
    """Show as the newest value in `vconflow_module_value{name}`."""
    _tell(events.module_measured, metric_name, value)


def stats_gauge(metric_name: str, value: float, tags: Sequence[str] = ()) -> None:
    """The same under its older name."""
    record_histogram(metric_name, value)


def register_observable_gauge(
    metric_name: str, callback: Callable[[], object], description: str | None = None
) -> None:
    """Nothing: nobody would call it in a thread where it may block."""


def _tell(happened: Callable[[str, float], None], name: str, value: float) -> None:
    try:
        call = current()
    except RuntimeError:  # at import, when nothing is measured yet
        return
    call.tell(happened, str(name), float(value))
