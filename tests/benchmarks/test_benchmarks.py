"""Every benchmark still runs and measures something; how much is not for a test to say."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FLOWS = {
    "http_to_stream": ["http_to_stream"],
    "http_to_file": ["http_to_file", "http_to_file, no fsync"],
    "http_to_postgres": ["http_to_postgres"],
    "get_hot": ["get_hot"],
    "chain": ["chain"],
    "model": ["model, validate", "model, tag"],
}
SHORT = ("--seconds", "0.1", "--windows", "1")


def bench(*arguments: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout


def report(path: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    bench(*arguments, *SHORT, "--json", str(path), **environment)
    written: dict[str, Any] = json.loads(path.read_text())
    return written


def check(figure: dict[str, Any]) -> None:
    assert figure["ours"] > 0
    assert figure["limit"] > 0
    assert figure["ratio"] == pytest.approx(figure["ours"] / figure["limit"])
    assert figure["microseconds"] == pytest.approx(1e6 / figure["ours"])
    assert figure["ours_windows"] == [figure["ours"]]


@pytest.mark.parametrize("flow", FLOWS)
def test_each_flow_gives_figures(flow: str, tmp_path: Path) -> None:
    figures = report(tmp_path / "out.json", flow, "--generator", "python")["figures"]
    assert [figure["flow"] for figure in figures] == FLOWS[flow]
    for figure in figures:
        check(figure)


def test_all_flows_are_covered() -> None:
    shown = bench("--help").partition("The flows: ")[2].partition(".")[0]
    assert shown.replace("\n", " ").replace(" ", "").split(",") == list(FLOWS)


def test_wrk_or_what_there_is_instead_makes_the_load(tmp_path: Path) -> None:
    written = report(tmp_path / "out.json", "get_hot", "http_to_stream")
    assert written["machine"]["generator"] in ("wrk", "python")
    for figure in written["figures"]:
        check(figure)
        assert 0 < figure["p50_ms"] <= figure["p99_ms"]


def test_the_packaged_samples_do_where_there_is_no_other_data(tmp_path: Path) -> None:
    written = report(
        tmp_path / "out.json", "model", VCONFLOW_TEST_DATA=str(tmp_path / "nothing here")
    )
    for figure in written["figures"]:
        check(figure)


def test_the_table_names_machine_commit_and_limit() -> None:
    shown = bench("model", *SHORT)
    assert "| model, validate |" in shown
    assert "msgspec.json.decode" in shown
    assert " cores " in shown
    assert "; commit " in shown
    assert "load average" in shown
