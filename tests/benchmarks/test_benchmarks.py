"""Every benchmark still runs and measures something; how much is not for a test to say."""

import json
from pathlib import Path
from typing import Any

import pytest
from benchmark_runs import python

FLOWS = {
    "http_to_stream": [
        "http_to_stream, everysec",
        "http_to_stream, always",
        "http_to_stream, 20 kB",
    ],
    "get_hot": ["get_hot"],
    "get_miss": ["get_miss"],
    "chain": [
        f"chain, {fsync}, of the {limit}"
        for fsync in ("everysec", "always")
        for limit in ("echo", "bare loop")
    ],
    "http_to_file": [
        "http_to_file, no fsync",
        "http_to_file, fsync",
        "http_to_file, fsync, from the POST",
    ],
    "http_to_postgres": [
        "http_to_postgres, one by one",
        "http_to_postgres, two at a time",
        "http_to_postgres, from the POST",
    ],
    "http_to_fanout": ["http_to_fanout"],
    "accept_and_process": ["accept_and_process"],
    "latency": ["latency, p99"],
    "io_bound_link": ["io_bound_link"],
    "idle_latency": ["idle_latency, commands", "idle_latency, grouped"],
    "model": ["model, validate", "model, tag"],
    "replicas": ["replicas, waiting", "replicas, CPU per vCon"],
    "start": [
        "start, until ready, aim",
        "start, idle memory, aim",
        "start, until ready, bare",
        "start, CPU until ready, bare",
        "start, idle memory, bare",
    ],
    "storages": ["storages, slowest", "storages, sum"],
    "soak_memory": [
        "soak_memory, Redis per waiting vCon",
        "soak_memory, Redis per finished vCon",
        "soak_memory, process",
    ],
    "growth.depth": ["growth, depth, accepting", "growth, depth, processing"],
    "growth.chains": [
        "growth, chains, load on all of them",
        "growth, chains, load on one of them",
    ],
    "growth.sizes": ["growth, size, accepting and processing"],
    "growth.lists": [
        "growth, lists, load on all of them",
        "growth, lists, load on one of them",
    ],
}
CURVES = """
import sys
from pathlib import Path
from benchmarks.growth.curves import Curves
curves = Curves("depth", "entries waiting", "µs per vCon")
curves.add(1, {"accepting": 100.0})
curves.add(10, {"accepting": 130.0})
print(*curves.finish(Path(sys.argv[1])))
"""
SHORT = ("--seconds", "0.2", "--windows", "1", "--scale", "0.001")


def bench(*arguments: str, **environment: str) -> str:
    return python("-m", "benchmarks", *arguments, **environment)


def report(folder: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    files = ("--json", str(folder / "out.json"), "--plots", str(folder))
    bench(*arguments, *SHORT, *files, **environment)
    written: dict[str, Any] = json.loads((folder / "out.json").read_text())
    return written


def check(figure: dict[str, Any]) -> None:
    assert figure["ours"] > 0
    assert figure["limit"] > 0
    assert figure["ratio"] == pytest.approx(figure["ours"] / figure["limit"])
    assert figure["ours_windows"] == [figure["ours"]]
    if (target := figure["target"]) is not None:
        is_below = figure["ratio"] <= target["bound"]
        assert figure["reached"] is (is_below if target["at_most"] else not is_below)
    if figure["cpu_ratio"] is not None:
        together = sum(figure["cpu"].values())
        assert figure["cpu_ratio"] == pytest.approx(sum(figure["limit_cpu"].values()) / together)


@pytest.mark.parametrize("flow", FLOWS)
def test_each_flow_gives_figures(flow: str, tmp_path: Path) -> None:
    figures = report(tmp_path, flow, "--generator", "python")["figures"]
    assert [figure["flow"] for figure in figures] == FLOWS[flow]
    for figure in figures:
        check(figure)


def test_all_flows_are_covered() -> None:
    shown = bench("--help").partition("The flows: ")[2].partition("Options:")[0]
    assert "".join(shown.split()).split(",") == list(FLOWS)


def test_wrk_makes_the_load(tmp_path: Path) -> None:
    written = report(tmp_path, "get_hot", "--generator", "wrk")
    assert written["machine"]["generator"] == "wrk"
    for figure in written["figures"]:
        check(figure)
        assert 0 < figure["p50_ms"] <= figure["p99_ms"]
        assert set(figure["cpu"]) == {"server", "Valkey"}


def test_the_packaged_samples_do_where_there_is_no_other_data(tmp_path: Path) -> None:
    written = report(tmp_path, "model", VCONFLOW_TEST_DATA=str(tmp_path / "nothing here"))
    for figure in written["figures"]:
        check(figure)


def test_the_tables_name_machine_commit_limit_and_target() -> None:
    shown = bench("model", "get_hot", *SHORT, "--generator", "python")
    assert "| model, validate |" in shown
    assert "msgspec.json.decode" in shown
    assert "≥ 0.6" in shown
    assert "server µs" in shown
    assert " cores " in shown
    assert "; commit " in shown
    assert "load average" in shown


def test_a_curve_is_drawn_for_what_grows(tmp_path: Path) -> None:
    # In a process of its own: pygal changes how Python imports.
    shown = python("-c", CURVES, str(tmp_path))
    assert "ratio=1.3" in shown
    assert "reached=False" in shown
    assert "1: 100, 10: 130" in shown
    drawn = (tmp_path / "depth.svg").read_text()
    assert "accepting" in drawn
    assert "entries waiting" in drawn
