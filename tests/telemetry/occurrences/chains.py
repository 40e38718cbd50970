"""Chains and their lists."""

from occurrences.occurrence import Occurrence
from vconflow.telemetry import events

OCCURRENCES = [
    Occurrence(
        lambda: events.chain_held("main", "1000 entries wait"),
        {'chain_held_total{"main"}': 1},
        "warning chain_held",
    ),
    Occurrence(
        lambda: events.chain_full("full", 1000, is_full=True),
        {'chain_held_total{"full"}': 1},
        "warning chain_full",
    ),
    Occurrence(
        lambda: events.chain_full("full", 900, is_full=False),
        {'chain_held_total{"full"}': 0},
        "warning chain_reads_again",
    ),
    Occurrence(lambda: events.chain_paused("main", is_paused=True), {}, "warning chain_paused"),
    Occurrence(lambda: events.chain_paused("main", is_paused=False), {}, "warning chain_resumed"),
    Occurrence(
        lambda: events.list_measured("in", 5, 6, 7.5, 8),
        {
            'list_depth{"in"}': 5,
            'pending{"in"}': 6,
            'list_oldest_seconds{"in"}': 7.5,
            'dead_letters{"in"}': 8,
        },
        None,
    ),
    Occurrence(
        lambda: events.list_reader_changed("in", "reader", is_read=True),
        {'list_reader{"reader","in"}': 1},
        None,
    ),
    Occurrence(
        lambda: events.chain_measured("main", 9, 7),
        {'inflight{"main"}': 9, 'waiting{"main"}': 7},
        None,
    ),
]
