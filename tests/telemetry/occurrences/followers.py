"""Following other servers."""

from occurrences.occurrence import ERROR, UUID, Occurrence
from vconflow.telemetry import events

OCCURRENCES = [
    Occurrence(lambda: events.follower_started("east", "in"), {}, "info follower_started"),
    Occurrence(
        lambda: events.follower_stopped("east", 3, is_removed=False), {}, "info follower_stopped"
    ),
    Occurrence(
        lambda: events.follower_stopped("east", 0, is_removed=True), {}, "info follower_stopped"
    ),
    Occurrence(
        lambda: events.follower_stopped("east", 3, is_removed=True),
        {},
        "error follower_removed_too_early",
    ),
    Occurrence(
        lambda: events.follower_pulled("east", "stored", 4),
        {'follower_pulled_total{"east","stored"}': 4},
        None,
    ),
    Occurrence(lambda: events.follower_pulled("west", "stored", 0), {}, None),
    Occurrence(
        lambda: events.follower_parked("east", UUID, "missing", "404"),
        {'follower_pulled_total{"east","missing"}': 1},
        "error follower_parked",
    ),
    Occurrence(
        lambda: events.follower_failed("east", ERROR, 1, 2.0),
        {'follower_failures_total{"east"}': 1},
        "warning follower_failed",
    ),
    Occurrence(
        lambda: events.follower_failed("east", ERROR, 2, 4.0),
        {'follower_failures_total{"east"}': 1},
        None,
    ),
    Occurrence(lambda: events.follower_back("east"), {}, "warning follower_back"),
    Occurrence(
        lambda: events.follower_succeeded("east", 1e9),
        {'follower_last_success_seconds{"east"}': 1e9},
        None,
    ),
    Occurrence(
        lambda: events.follower_unwritten("east", [UUID]), {}, "critical follower_unwritten"
    ),
    Occurrence(
        lambda: events.follower_measured("east", 5, 6),
        {'follower_waiting{"east"}': 5, 'follower_parked{"east"}': 6},
        None,
    ),
]
