"""Several replicas under one supervisor."""

from occurrences.occurrence import Occurrence
from vconflow.telemetry import events

OCCURRENCES = [
    Occurrence(lambda: events.replica_ready("one.1", 42, 0.5), {}, "info replica_ready"),
    Occurrence(
        lambda: events.replica_ended("one.1", "SIGKILL", 0, 0.1),
        {'replica_restarts_total{"one.1"}': 1},
        "error replica_ended",
    ),
    Occurrence(lambda: events.replica_leaving("one.1"), {}, "info replica_leaving"),
    Occurrence(lambda: events.replica_left("one.1", "exit code 0"), {}, "info replica_left"),
    Occurrence(lambda: events.replicas_resized(3), {}, "info replicas_resized"),
    Occurrence(
        lambda: events.replicas_counted(3, 2),
        {'replicas{"wanted"}': 3, 'replicas{"ready"}': 2},
        None,
    ),
    Occurrence(
        lambda: events.replica_metrics_missing("one.1"), {}, "warning replica_metrics_missing"
    ),
]
