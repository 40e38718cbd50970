"""Which replica owns an entry."""

from occurrences.occurrence import Occurrence
from vconflow.telemetry import events

OCCURRENCES = [
    Occurrence(
        lambda: events.lease_lost("in", "1-0"), {'leases_lost_total{"in"}': 1}, "warning lease_lost"
    ),
    Occurrence(
        lambda: events.took_over("in", 4), {'taken_over_total{"in"}': 4}, "warning took_over"
    ),
    Occurrence(lambda: events.recovered("in", 4), {'recovered_total{"in"}': 4}, "info recovered"),
]
