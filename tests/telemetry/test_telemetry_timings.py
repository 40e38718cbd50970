"""Our instruments beside the client's own: what is counted alike is shown alike."""

import random

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from vconflow.telemetry.timings import Tallies, Timings

BOUNDS = (0.0005, 0.25, 1.0, 1800.0)


def lines(registry: CollectorRegistry) -> list[str]:
    text = generate_latest(registry).decode().splitlines()
    return [line for line in text if "_created" not in line]


def test_times_are_shown_as_the_clients_own() -> None:
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


def test_counts_are_shown_as_the_clients_own() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tallies = Tallies("done_total", "Done.", ("kind", "end"))
    ours.register(tallies)
    counter = Counter("done_total", "Done.", ("kind", "end"), registry=theirs)
    for number, labels in enumerate((("a", "well"), ("b", "well"), ("a", "badly"), ("a", "well"))):
        tallies.labels(*labels).inc(number)
        counter.labels(*labels).inc(number)
    tallies.labels("b", "well").inc()
    counter.labels("b", "well").inc()
    assert lines(ours) == lines(theirs)


def test_a_removed_child_is_shown_no_more() -> None:
    registry = CollectorRegistry()
    timings = Timings("work_seconds", "Work.", ("kind",), BOUNDS)
    registry.register(timings)
    timings.labels("a").observe(1.0)
    timings.remove("a")
    timings.remove("never there")
    assert not any("kind" in line for line in lines(registry))
