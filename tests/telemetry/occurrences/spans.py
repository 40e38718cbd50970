"""Spans on their way to a collector."""

from occurrences.occurrence import Occurrence
from vconflow.telemetry import events

OCCURRENCES = [
    Occurrence(
        lambda: events.spans_sent(3, arrived=True),
        {'spans_total{"sent"}': 3},
        None,
    ),
    Occurrence(
        lambda: events.spans_sent(2, arrived=False),
        {'spans_total{"lost"}': 2},
        None,
    ),
    Occurrence(events.collector_lost, {}, "warning collector_lost"),
    Occurrence(events.collector_back, {}, "warning collector_back"),
]
