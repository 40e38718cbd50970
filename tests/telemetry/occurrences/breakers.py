"""Breakers."""

from occurrences.occurrence import Occurrence
from vconflow.telemetry import events

OCCURRENCES = [
    Occurrence(
        lambda: events.breaker_changed("storage:file", is_open=True),
        {'breaker_open{"storage:file"}': 1},
        None,
    ),
    Occurrence(
        lambda: events.breaker_changed("link:a", is_open=False), {'breaker_open{"link:a"}': 0}, None
    ),
    Occurrence(lambda: events.breaker_opened("storage:file", "away"), {}, "warning breaker_opened"),
    Occurrence(lambda: events.breaker_closed("storage:s3", 2.0), {}, "warning breaker_closed"),
]
