"""CPU time of processes: what a vCon costs, whatever else the machine is doing meanwhile."""

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path

__all__ = ["CpuMeter", "idle"]

_SCHEDULED = 2
"""What the kernel calls CPUCLOCK_SCHED: nanoseconds on a processor, ended threads included."""
_OF_ENDED_CHILDREN = slice(13, 15)
"""Where /proc/PID/stat has cutime and cstime, counted from the state."""


_LOOK, _IDLE = 0.5, 0.1
"""Seconds, and the share of a processor that is little."""


class CpuMeter:
    """Counts from when it is made. A process counts together with its children."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._before = self._spent()

    def each(self, number: float) -> dict[str, float]:
        """Microseconds per vCon and process, if there were so many vCons."""
        return {
            name: 1e6 * (spent - self._before[name]) / number
            for name, spent in self._spent().items()
        }

    def _spent(self) -> dict[str, float]:
        return {name: _seconds_of_all(pid) for name, pid in self._pids.items()}


async def idle(pids: Mapping[str, int], seconds: float = 30.0) -> None:
    """Wait until the processes have done what they do once at their start, or for so long."""
    for _ in range(int(seconds / _LOOK)):
        meter = CpuMeter(pids)
        await asyncio.sleep(_LOOK)
        if sum(meter.each(1e6).values()) < _LOOK * _IDLE:
            return


def _seconds_of_all(pid: int) -> float:
    try:
        # The name, which stands in brackets, may have anything in it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError as error:
        raise RuntimeError(f"the process {pid} is gone") from error
    ended = sum(map(int, fields[_OF_ENDED_CHILDREN])) / os.sysconf("SC_CLK_TCK")
    return _seconds(pid) + sum(map(_seconds, map(int, children))) + ended


def _seconds(pid: int) -> float:
    try:
        # The clock of clock_getcpuclockid(3).
        return time.clock_gettime((~pid << 3) | _SCHEDULED)
    except OSError:  # a child that ended just now
        return 0.0
