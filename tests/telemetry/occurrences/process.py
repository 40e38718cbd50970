"""The process and what surrounds it."""

from occurrences.occurrence import ERROR, Occurrence
from vconflow.telemetry import events

OCCURRENCES = [
    Occurrence(lambda: events.drain_started(3), {}, "info drain_started"),
    Occurrence(lambda: events.drain_ended(2, 1), {}, "info drain_ended"),
    Occurrence(lambda: events.loop_lag(0.2), {"loop_lag_seconds_count{}": 1}, None),
    Occurrence(lambda: events.loop_lag(2.0), {"loop_lag_seconds_sum{}": 2.0}, "warning loop_lag"),
    Occurrence(
        lambda: events.unhandled("chain main", ERROR), {"unhandled_total{}": 1}, "error unhandled"
    ),
    Occurrence(
        lambda: events.conserver_data_found("3 uuids in 'in'"), {}, "warning conserver_data_found"
    ),
    Occurrence(
        lambda: events.package_installed("acme", "1.2", "index"), {}, "warning package_installed"
    ),
]
