"""A vCon costs about as much CPU as when that was last recorded, beside a bare Starlette."""

from dataclasses import dataclass

import pytest
from benchmark_runs import python
from benchmarks.check import MARGIN, Recorded, regressions
from benchmarks.harness.machine import Machine

MACHINE = Machine("any", 2, "Linux", "CPython", "wrk", "abc", "now", 0.0)
RECORDED = Recorded(MACHINE, MARGIN, {"get_hot": 0.5, "chain": 0.2}, {})


@dataclass
class Case:
    measured: dict[str, float]
    found: list[str]


def test_no_flow_costs_much_more_than_recorded() -> None:
    python("-m", "benchmarks.check", timeout=600)


@pytest.mark.parametrize(
    "case",
    [
        Case({"get_hot": 0.5, "chain": 0.2}, []),
        Case({"get_hot": 0.31, "chain": 0.9}, []),
        Case({"get_hot": 0.29, "chain": 0.2}, ["get_hot: CPU ratio 0.290, must be at least 0.300"]),
        Case({"get_hot": 0.5}, ["chain: not measured"]),
        Case({"get_hot": 0.5, "chain": 0.2, "new": 0.001}, []),
    ],
)
def test_only_what_is_far_below_is_a_regression(case: Case) -> None:
    assert regressions(case.measured, RECORDED) == case.found
