"""Every event counts and, where it should, speaks."""

import inspect
import io
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
import structlog
from occurrences import OCCURRENCES, TABLES, UUID, Occurrence
from prometheus_client import Counter
from prometheus_client.parser import text_string_to_metric_families

from vconflow.telemetry import events, log, metrics
from vconflow.telemetry.events.errors import LONGEST_ERROR


class Sample(NamedTuple):
    value: float
    is_gauge: bool


def samples() -> dict[str, Sample]:
    """Every sample by its name and the values of its labels, these by the names of the labels."""
    found = {}
    for family in text_string_to_metric_families(metrics.render()[0].decode()):
        for sample in family.samples:
            labels = ",".join(f'"{value}"' for _, value in sorted(sample.labels.items()))
            name = f"{sample.name.removeprefix('vconflow_')}{{{labels}}}"
            found[name] = Sample(sample.value, family.type == "gauge")
    return found


def changes(happen: Callable[[], None]) -> dict[str, float]:
    """By how much an event changed the counters, and what the gauges are after it."""
    before = samples()
    happen()
    nothing = Sample(0.0, is_gauge=False)
    return {
        name: after.value if after.is_gauge else after.value - before.get(name, nothing).value
        for name, after in samples().items()
    }


def level_and_event(line: Mapping[str, Any]) -> str:
    return f"{line['log_level']} {line['event']}"


@pytest.mark.parametrize("occurrence", OCCURRENCES)
def test_an_event_counts_and_speaks(occurrence: Occurrence) -> None:
    log.configure("info", to=io.StringIO())
    with structlog.testing.capture_logs() as captured:
        changed = changes(occurrence.happen)
    assert {name: changed[name] for name in occurrence.counted} == pytest.approx(occurrence.counted)
    said = [occurrence.line] if occurrence.line else []
    assert [level_and_event(line) for line in captured] == said


def test_what_is_gone_is_not_shown_any_more() -> None:
    events.chain_measured("of-no-other-test", 1, 2)
    events.list_measured("of-no-other-test", 1, 2, 3.0, 4)
    events.breaker_changed("of-no-other-test", is_open=True)
    gauges = {name for name in samples() if "of-no-other-test" in name}
    assert len(gauges) == 7
    for gone in (events.chain_gone, events.list_gone, events.breaker_gone):
        gone("of-no-other-test")
        gone("of-no-other-test")
    assert not gauges & samples().keys()


def test_a_list_shows_the_chain_that_reads_it_now() -> None:
    events.list_reader_changed("read", "old", is_read=True)
    events.list_reader_changed("read", "new", is_read=True)
    events.list_reader_changed("read", "old", is_read=False)
    shown = {name for name in samples() if name.startswith("list_reader") and '"read"' in name}
    assert shown == {'list_reader{"new","read"}'}


def test_every_event_is_in_a_table() -> None:
    here = inspect.getsource(test_what_is_gone_is_not_shown_any_more)
    tested = re.findall(r"events\.(\w+)", "".join([here, *map(inspect.getsource, TABLES)]))
    assert set(events.__all__) - set(tested) == set()


QUIET = [occurrence.happen for occurrence in OCCURRENCES if occurrence.line is None]


@pytest.mark.parametrize("happen", QUIET)
def test_the_happy_path_only_speaks_at_debug(happen: Callable[[], None]) -> None:
    log.configure("debug", to=io.StringIO())
    with structlog.testing.capture_logs() as captured:
        happen()
    assert {entry["log_level"] for entry in captured} <= {"debug"}


def test_no_label_ever_holds_a_uuid() -> None:
    for occurrence in OCCURRENCES:
        occurrence.happen()
    assert UUID not in metrics.render()[0].decode()


def test_a_long_error_is_cut_short() -> None:
    with structlog.testing.capture_logs() as captured:
        events.redis_lost(ValueError("x" * 10_000))
    assert captured[0]["error_type"] == "ValueError"
    assert len(captured[0]["error"]) == LONGEST_ERROR


def test_label_values_of_strangers_are_bounded() -> None:
    counter = Counter("vcons", "Counted.", ["list"], registry=None)
    labelled: metrics.Labelled[Counter] = metrics.Labelled(counter)
    for number in range(metrics.MOST_CHILDREN + 50):
        labelled(f"stranger-{number}").inc()
    (family,) = counter.collect()
    totals = {s.labels["list"]: s.value for s in family.samples if s.name == "vcons_total"}
    assert len(totals) == metrics.MOST_CHILDREN + 1
    assert totals["other"] == 50


def test_the_names_of_the_design_are_there() -> None:
    for occurrence in OCCURRENCES:
        occurrence.happen()
    text = metrics.render()[0].decode()
    for name in (
        *("accepted_total", "entries_total", "chain_seconds", "link_seconds", "storage_seconds"),
        *("inflight", "list_depth", "list_oldest_seconds", "pending", "retries_total"),
        *("dead_letters", "breaker_open", "partner_accepted_total", "http_seconds"),
        *("loop_lag_seconds", "redis_seconds"),
    ):
        assert f"# TYPE vconflow_{name} " in text


def test_the_process_itself_is_measured() -> None:
    assert b"vconflow_process_resident_memory_bytes" in metrics.render()[0]
