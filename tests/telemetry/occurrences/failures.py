"""What goes wrong with an entry."""

from occurrences.occurrence import ERROR, UUID, Occurrence
from vconflow.telemetry import events

FAILED = events.FailedEntry("main", "in", UUID, "link:tag")

OCCURRENCES = [
    Occurrence(
        lambda: events.retry_scheduled(FAILED, ERROR, attempt=2, delay=1.5),
        {'retries_total{"main"}': 1},
        "info retry_scheduled",
    ),
    Occurrence(
        lambda: events.dead_lettered(FAILED, "TimeoutError", "late", attempts=5),
        {},
        "error dead_lettered",
    ),
    Occurrence(
        lambda: events.document_missing("in", "1-0", UUID),
        {'documents_missing_total{"in"}': 1},
        "error document_missing",
    ),
    Occurrence(
        lambda: events.parked("main", "in", UUID, ["storage:file"]),
        {'parked_total{"main"}': 1},
        None,
    ),
    Occurrence(
        lambda: events.dead_letters_moved("in", "purged", 3),
        {'dead_letters_moved_total{"purged","in"}': 3},
        None,
    ),
]
