"""Our histogram beside the client's own: the same observations, the same text."""

import random

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from vconflow.telemetry.timings import Timings

BOUNDS = (0.0005, 0.25, 1.0, 1800.0)


def lines(registry: CollectorRegistry) -> list[str]:
    text = generate_latest(registry).decode().splitlines()
    return [line for line in text if "_created" not in line]


def test_it_shows_what_the_clients_own_shows() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    timings = Timings("work_seconds", "Work.", ("kind",), BOUNDS)
    ours.register(timings)
    histogram = Histogram("work_seconds", "Work.", ("kind",), buckets=BOUNDS, registry=theirs)
    rng = random.Random(7)
    for _ in range(500):
        # Bounds themselves belong to their bucket.
        seconds, kind = rng.choice([*BOUNDS, rng.random(), 5000.0]), rng.choice("ab")
        timings.labels(kind).observe(seconds)
        histogram.labels(kind).observe(seconds)
    assert lines(ours) == lines(theirs)


def test_a_removed_child_is_shown_no_more() -> None:
    registry = CollectorRegistry()
    timings = Timings("work_seconds", "Work.", ("kind",), BOUNDS)
    registry.register(timings)
    timings.labels("a").observe(1.0)
    timings.remove("a")
    timings.remove("never there")
    assert not any("kind" in line for line in lines(registry))
