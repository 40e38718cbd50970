"""CPU time of processes: what a vCon costs, whatever else the machine is doing meanwhile."""

import time
from collections.abc import Mapping
from pathlib import Path

__all__ = ["CpuMeter"]

_SCHEDULED = 2
"""What the kernel calls CPUCLOCK_SCHED: nanoseconds on a processor, ended threads included."""


class CpuMeter:
    """Counts from when it is made. A process counts together with its children, by its name."""

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
        return {
            name: sum(map(_seconds, (pid, *_children(pid)))) for name, pid in self._pids.items()
        }


def _seconds(pid: int) -> float:
    try:
        # The clock of clock_getcpuclockid(3).
        return time.clock_gettime((~pid << 3) | _SCHEDULED)
    except OSError:  # it has ended
        return 0.0


def _children(pid: int) -> list[int]:
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except OSError:
        return []
