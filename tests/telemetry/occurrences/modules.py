"""Modules of the reference's contract."""

from occurrences.occurrence import Occurrence
from vconflow.telemetry import events

OCCURRENCES = [
    Occurrence(
        lambda: events.module_stuck("acme.run", 2),
        {"module_threads_stuck{}": 2},
        "warning module_stuck",
    ),
    Occurrence(
        lambda: events.module_back("acme.run", 0),
        {"module_threads_stuck{}": 0},
        "warning module_back",
    ),
    Occurrence(
        lambda: events.module_counted("acme.seen", 3),
        {'module_events_total{"acme.seen"}': 3},
        None,
    ),
    Occurrence(lambda: events.module_counted("acme.negative", -1), {}, None),
    Occurrence(
        lambda: events.module_measured("acme.size", 7.5), {'module_value{"acme.size"}': 7.5}, None
    ),
]
