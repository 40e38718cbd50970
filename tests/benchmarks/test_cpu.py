"""The CPU time of a process is all of it, that of its children too, and once only."""

import os
import subprocess
import sys

import pytest
from benchmarks.harness.cpu import CpuMeter

SECONDS = 0.3
BUSY = f"""
import time
while time.process_time() < {SECONDS}: pass
print("done", flush=True)
input()
"""


def test_a_child_counts_once_while_it_runs_and_when_it_has_ended() -> None:
    meter = CpuMeter({"us": os.getpid()})
    child = subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    running, later = meter.each(1)["us"], CpuMeter({"us": os.getpid()})
    child.communicate(b"\n")
    ended = meter.each(1)["us"]
    assert 1e6 * SECONDS <= running < 2e6 * SECONDS
    # The kernel counts what has ended in hundredths of a second.
    assert 0.9e6 * SECONDS <= ended < 2e6 * SECONDS
    assert later.each(1)["us"] < 0.5e6 * SECONDS


def test_costs_are_microseconds_each() -> None:
    meter = CpuMeter({"us": os.getpid()})
    sum(range(10_000_000))
    assert meter.each(1)["us"] >= meter.each(100)["us"] > 0


def test_a_process_that_is_gone_is_an_error() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    meter = CpuMeter({"it": child.pid})
    child.wait()
    with pytest.raises(RuntimeError, match="is gone"):
        meter.each(1)
