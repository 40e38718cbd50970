"""From the start of the process until it answers, and the memory it has then: aims, not limits."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from math import isnan, nan
from pathlib import Path

from benchmarks.harness.figures import Figure, Options, Sample, Target, figure_of
from benchmarks.harness.passage import TAG, chain_config
from benchmarks.harness.processes import echo, vconflow

__all__ = ["run"]

AT_MOST = Target(1.0, at_most=True)
BARE = "bare Starlette, started the same way"
_SETTLE_SECONDS = 0.5
_TICKS = os.sysconf("SC_CLK_TCK")

WHAT = (("until ready", "ms"), ("CPU until ready", "ms"), ("idle memory", "MB"))
_Start = tuple[float, float, float]
"""One start in the order of `WHAT`."""
_AIM: _Start = (1000.0, nan, 80.0)


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure both. The Valkey runs before; modules have been compiled by an earlier start."""
    pairs = []
    with _bytecode_kept():
        for number in range(options.windows + 1):
            async with vconflow(chain_config(*TAG)) as service:
                ours = await _look(service.pids["server"])
            async with echo() as server:
                bare = await _look(server.pids["server"])
            if number:
                pairs.append((ours, bare))
            options.advance("start")
    aims = [(ours, _AIM) for ours, _ in pairs]
    for limit_is, label, both in (("the aim", "aim", aims), (BARE, "bare", pairs)):
        for place, (what, unit) in enumerate(WHAT):
            if isnan(_AIM[place]) and both is aims:
                continue
            yield figure_of(
                f"start, {what}, {label}",
                limit_is,
                [(Sample(ours[place]), Sample(other[place])) for ours, other in both],
                target=AT_MOST if both is aims else None,
                unit=unit,
            )


async def _look(pid: int) -> _Start:
    """Called as soon as it is ready."""
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu, began = (int(fields[11]) + int(fields[12])) / _TICKS, int(fields[19]) / _TICKS
    await asyncio.sleep(_SETTLE_SECONDS)
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    resident = next(line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return 1000 * (now - began), 1000 * cpu, int(resident) * 1024 / 1e6


@contextmanager
def _bytecode_kept() -> Iterator[None]:
    """Let the processes that are started keep what they compile, as an installation does."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="vcf-bench-") as folder:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
