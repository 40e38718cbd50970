"""Every event counts and, where it should, speaks."""

import inspect
import io
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import structlog
from prometheus_client import Counter
from prometheus_client.parser import text_string_to_metric_families

from vconflow.telemetry import events, log, metrics

UUID = "0195544a-b9b1-8ee4-b9a2-279e0d16bc46"
ERROR = TimeoutError("no answer")
GAUGES = ("breaker_open", "dead_letters{", "inflight", "list_", "pending", "waiting")

# What happens, the samples of the metrics that it changes, and the line at INFO or above.
OCCURRENCES: list[tuple[Callable[[], None], Mapping[str, float], str | None]] = [
    (
        lambda: events.valkey_ended("SIGKILL", 0.1, "last words"),
        {"embedded_restarts_total{}": 1},
        "error valkey_ended",
    ),
    (events.valkey_back, {}, "warning valkey_back"),
    (lambda: events.accepted("in", "http", 3), {'accepted_total{"in","http"}': 3}, None),
    (
        lambda: events.partner_accepted("in", "acme"),
        {'partner_accepted_total{"acme","in"}': 1},
        None,
    ),
    (
        lambda: events.enqueue_skipped("in", 2),
        {'enqueue_skipped_total{"in"}': 2},
        "warning enqueue_skipped",
    ),
    (
        lambda: events.entry_done("main", "completed", 0.3),
        {
            'entries_total{"main","completed"}': 1,
            'chain_seconds_count{"main","completed"}': 1,
            'chain_seconds_sum{"main","completed"}': 0.3,
        },
        None,
    ),
    (
        lambda: events.link_done("main", "tag", "continue", 0.2),
        {'link_seconds_sum{"main","tag","continue"}': 0.2},
        None,
    ),
    (
        lambda: events.storage_done("file", "stored", 0.1, 7, None),
        {
            'storage_seconds_count{"stored","file"}': 1,
            'storage_vcons_total{"stored","file"}': 7,
        },
        None,
    ),
    (
        lambda: events.storage_done("file", "failed", 0.1, 7, ERROR),
        {'storage_vcons_total{"failed","file"}': 7},
        "warning storage_failed",
    ),
    (
        lambda: events.storage_conflict_restored("file", UUID),
        {'storage_conflicts_total{"file"}': 1},
        "info storage_conflict_restored",
    ),
    (
        lambda: events.retry_scheduled("main", "in", UUID, "link:tag", ERROR, 2, 1.5),
        {'retries_total{"main"}': 1},
        "info retry_scheduled",
    ),
    (
        lambda: events.dead_lettered("main", "in", UUID, "link:tag", "TimeoutError", "late", 5),
        {},
        "error dead_lettered",
    ),
    (
        lambda: events.document_missing("in", "1-0", UUID),
        {'documents_missing_total{"in"}': 1},
        "error document_missing",
    ),
    (lambda: events.lease_lost("in", "1-0"), {'leases_lost_total{"in"}': 1}, "warning lease_lost"),
    (lambda: events.took_over("in", 4), {'taken_over_total{"in"}': 4}, "warning took_over"),
    (lambda: events.recovered("in", 4), {'recovered_total{"in"}': 4}, "info recovered"),
    (
        lambda: events.chain_held("main", "1000 entries wait"),
        {'chain_held_total{"main"}': 1},
        "warning chain_held",
    ),
    (
        lambda: events.chain_full("full", 1000, is_full=True),
        {'chain_held_total{"full"}': 1},
        "warning chain_full",
    ),
    (
        lambda: events.chain_full("full", 900, is_full=False),
        {'chain_held_total{"full"}': 0},
        "warning chain_reads_again",
    ),
    (
        lambda: events.parked("main", "in", UUID, ["storage:file"]),
        {'parked_total{"main"}': 1},
        None,
    ),
    (
        lambda: events.dead_letters_moved("in", "purged", 3),
        {'dead_letters_moved_total{"purged","in"}': 3},
        None,
    ),
    (
        lambda: events.breaker_changed("storage:file", is_open=True),
        {'breaker_open{"storage:file"}': 1},
        None,
    ),
    (lambda: events.breaker_changed("link:a", is_open=False), {'breaker_open{"link:a"}': 0}, None),
    (lambda: events.breaker_opened("storage:file", "away"), {}, "warning breaker_opened"),
    (lambda: events.breaker_closed("storage:s3", 2.0), {}, "warning breaker_closed"),
    (lambda: events.chain_paused("main", is_paused=True), {}, "warning chain_paused"),
    (lambda: events.chain_paused("main", is_paused=False), {}, "warning chain_resumed"),
    (lambda: events.redis_lost(ERROR), {"redis_errors_total{}": 1}, "warning redis_lost"),
    (lambda: events.redis_back(2.0), {}, "info redis_back"),
    (lambda: events.redis_done("commit", 0.5), {'redis_seconds_sum{"commit"}': 0.5}, None),
    (lambda: events.drain_started(3), {}, "info drain_started"),
    (lambda: events.drain_ended(2, 1), {}, "info drain_ended"),
    (lambda: events.auth_off("127.0.0.1"), {}, "warning auth_off"),
    (
        lambda: events.http_done("/vcon/{uuid}", "GET", 200, 0.2),
        {'http_seconds_sum{"GET","/vcon/{uuid}","200"}': 0.2},
        None,
    ),
    (lambda: events.loop_lag(0.2), {"loop_lag_seconds_count{}": 1}, None),
    (lambda: events.loop_lag(2.0), {"loop_lag_seconds_sum{}": 2.0}, "warning loop_lag"),
    (lambda: events.unhandled("chain main", ERROR), {"unhandled_total{}": 1}, "error unhandled"),
    (
        lambda: events.list_measured("in", 5, 6, 7.5, 8),
        {
            'list_depth{"in"}': 5,
            'pending{"in"}': 6,
            'list_oldest_seconds{"in"}': 7.5,
            'dead_letters{"in"}': 8,
        },
        None,
    ),
    (
        lambda: events.chain_measured("main", 9, 7),
        {'inflight{"main"}': 9, 'waiting{"main"}': 7},
        None,
    ),
]


def samples() -> dict[str, float]:
    """Every sample by its name and the values of its labels, these by the names of the labels."""
    found = {}
    for family in text_string_to_metric_families(metrics.render()[0].decode()):
        for sample in family.samples:
            labels = ",".join(f'"{value}"' for _, value in sorted(sample.labels.items()))
            found[f"{sample.name.removeprefix('vconflow_')}{{{labels}}}"] = sample.value
    return found


def changes(happen: Callable[[], None]) -> dict[str, float]:
    """By how much an event changed the counters, and what the gauges are after it."""
    before = samples()
    happen()
    return {
        name: value if name.startswith(GAUGES) else value - before.get(name, 0.0)
        for name, value in samples().items()
    }


def level_and_event(line: Mapping[str, Any]) -> str:
    return f"{line['log_level']} {line['event']}"


@pytest.mark.parametrize(("happen", "expected", "line"), OCCURRENCES)
def test_an_event_counts_and_speaks(
    happen: Callable[[], None], expected: Mapping[str, float], line: str | None
) -> None:
    log.configure("info", to=io.StringIO())
    with structlog.testing.capture_logs() as captured:
        changed = changes(happen)
    assert {name: changed[name] for name in expected} == pytest.approx(expected)
    assert [level_and_event(entry) for entry in captured] == ([line] if line else [])


def test_what_is_gone_is_not_shown_any_more() -> None:
    events.chain_measured("brief", 1, 2)
    events.list_measured("brief", 1, 2, 3.0, 4)
    events.breaker_changed("brief", is_open=True)
    gauges = {name for name in samples() if "brief" in name}
    assert len(gauges) == 7
    for gone in (events.chain_gone, events.list_gone, events.breaker_gone):
        gone("brief")
        gone("brief")
    assert not gauges & samples().keys()


def test_every_event_is_tested_here() -> None:
    source = inspect.getsource(inspect.getmodule(test_every_event_is_tested_here) or events)
    assert [name for name in events.__all__ if not re.search(rf"events\.{name}\b", source)] == []


@pytest.mark.parametrize("happen", [happen for happen, _, line in OCCURRENCES if line is None])
def test_the_happy_path_only_speaks_at_debug(happen: Callable[[], None]) -> None:
    log.configure("debug", to=io.StringIO())
    with structlog.testing.capture_logs() as captured:
        happen()
    assert {entry["log_level"] for entry in captured} <= {"debug"}


def test_no_label_ever_holds_a_uuid() -> None:
    for happen, _, _ in OCCURRENCES:
        happen()
    assert UUID not in metrics.render()[0].decode()


def test_a_long_error_is_cut_short() -> None:
    with structlog.testing.capture_logs() as captured:
        events.redis_lost(ValueError("x" * 10_000))
    assert captured[0]["error_type"] == "ValueError"
    assert len(captured[0]["error"]) == events.LONGEST_ERROR


def test_label_values_of_strangers_are_bounded() -> None:
    counter = Counter("vcons", "Counted.", ["list"], registry=None)
    labelled = metrics.Labelled(counter)
    for number in range(metrics.MOST_CHILDREN + 50):
        labelled(f"stranger-{number}").inc()
    (family,) = counter.collect()
    totals = {s.labels["list"]: s.value for s in family.samples if s.name == "vcons_total"}
    assert len(totals) == metrics.MOST_CHILDREN + 1
    assert totals["other"] == 50


def test_the_names_of_the_design_are_there() -> None:
    for happen, _, _ in OCCURRENCES:
        happen()
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
