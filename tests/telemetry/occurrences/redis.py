"""Redis, and the embedded Valkey."""

from occurrences.occurrence import ERROR, Occurrence
from vconflow.telemetry import events

OCCURRENCES = [
    Occurrence(
        lambda: events.valkey_ended("SIGKILL", 0.1, "last words"),
        {"embedded_restarts_total{}": 1},
        "error valkey_ended",
    ),
    Occurrence(events.valkey_back, {}, "warning valkey_back"),
    Occurrence(lambda: events.redis_lost(ERROR), {"redis_errors_total{}": 1}, "warning redis_lost"),
    Occurrence(lambda: events.redis_back(2.0), {}, "info redis_back"),
    Occurrence(
        lambda: events.redis_done("commit", 0.5), {'redis_seconds_sum{"commit"}': 0.5}, None
    ),
    Occurrence(
        lambda: events.event_feed_lost(ERROR),
        {"redis_errors_total{}": 1},
        "warning event_feed_lost",
    ),
]
