"""What it was measured on: figures without it say nothing."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.harness.processes import ROOT

__all__ = ["Machine", "describe_machine", "load_average"]


class Machine(msgspec.Struct, frozen=True):
    """The machine and the code. `load_before` is the load average of the last minute."""

    processor: str
    cores: int
    system: str
    python: str
    generator: str
    commit: str
    at: str
    load_before: float

    def __str__(self) -> str:
        return (
            f"{self.cores} cores {self.processor}, {self.system}, {self.python}, "
            f"load by {self.generator}; commit {self.commit}, {self.at}"
        )


def describe_machine(generator: str) -> Machine:
    """Describe this machine now."""
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        generator=generator,
        commit=_commit(),
        at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        load_before=load_average(),
    )


def load_average() -> float:
    """How many processes wanted to run, averaged over the last minute."""
    return round(os.getloadavg()[0], 2)


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _commit() -> str:
    """The short hash, with a `+` when the tree differs from it."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        return commit + ("+" if _git("status", "--porcelain", "--", "src") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
