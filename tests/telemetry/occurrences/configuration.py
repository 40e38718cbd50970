"""Configurations that came into force, or did not."""

from occurrences.occurrence import ERROR, Occurrence
from vconflow.telemetry import events

OCCURRENCES = [
    Occurrence(
        lambda: events.config_applied("file", 7, "5d41", "ada"),
        {'config_reloads_total{"applied","file"}': 1, "config_serial{}": 7},
        "info config_applied",
    ),
    Occurrence(
        lambda: events.config_refused("api", 2, "chains.main: unknown link"),
        {'config_reloads_total{"refused","api"}': 1},
        "warning config_refused",
    ),
    Occurrence(lambda: events.config_trouble(is_there=True), {"config_refused{}": 1}, None),
    Occurrence(lambda: events.config_trouble(is_there=False), {"config_refused{}": 0}, None),
    Occurrence(lambda: events.config_unwatched(ERROR), {}, "warning config_unwatched"),
]
