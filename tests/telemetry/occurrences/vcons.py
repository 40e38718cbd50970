"""The way of a vCon."""

from occurrences.occurrence import ERROR, UUID, Occurrence
from vconflow.telemetry import events

OCCURRENCES = [
    Occurrence(lambda: events.accepted("in", "http", 3), {'accepted_total{"in","http"}': 3}, None),
    Occurrence(
        lambda: events.partner_accepted("in", "acme"),
        {'partner_accepted_total{"acme","in"}': 1},
        None,
    ),
    Occurrence(
        lambda: events.enqueue_skipped("in", 2),
        {'enqueue_skipped_total{"in"}': 2},
        "warning enqueue_skipped",
    ),
    Occurrence(
        lambda: events.entry_done("main", "completed", 0.3),
        {
            'entries_total{"main","completed"}': 1,
            'chain_seconds_count{"main","completed"}': 1,
            'chain_seconds_sum{"main","completed"}': 0.3,
        },
        None,
    ),
    Occurrence(
        lambda: events.link_done("main", "tag", "continue", 0.2),
        {'link_seconds_sum{"main","tag","continue"}': 0.2},
        None,
    ),
    Occurrence(
        lambda: events.storage_done("file", "stored", 0.1, 7, None),
        {
            'storage_seconds_count{"stored","file"}': 1,
            'storage_vcons_total{"stored","file"}': 7,
        },
        None,
    ),
    Occurrence(
        lambda: events.storage_done("file", "failed", 0.1, 7, ERROR),
        {'storage_vcons_total{"failed","file"}': 7},
        "warning storage_failed",
    ),
    Occurrence(
        lambda: events.tracer_done("jlinc", "ok", 0.1, "main", UUID, None),
        {'tracer_seconds_count{"ok","jlinc"}': 1},
        None,
    ),
    Occurrence(
        lambda: events.tracer_done("jlinc", "failed", 0.1, "main", UUID, ERROR),
        {'tracer_seconds_count{"failed","jlinc"}': 1},
        "warning tracer_failed",
    ),
    Occurrence(
        lambda: events.tracer_done("jlinc", "skipped", 0.0, "main", UUID, ERROR),
        {'tracer_seconds_count{"skipped","jlinc"}': 1},
        None,
    ),
    Occurrence(
        lambda: events.late_write_waits(UUID, {"s3": OSError("gone"), "file": OSError("gone")}),
        {},
        "warning late_write_waits",
    ),
    Occurrence(
        lambda: events.late_write_left(UUID, ("s3", "file")),
        {},
        "error late_write_left",
    ),
    Occurrence(
        lambda: events.storage_conflict_restored("file", UUID),
        {'storage_conflicts_total{"file"}': 1},
        "info storage_conflict_restored",
    ),
]
