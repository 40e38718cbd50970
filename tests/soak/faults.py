"""Which faults strike when: drawn from a seed in advance, so that a run can be repeated."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

__all__ = ["KINDS", "Fault", "FaultLog", "Struck", "schedule"]

KINDS: dict[str, tuple[str, float, float]] = {
    # kind: what it strikes, the shortest and the longest duration in seconds
    "replica kill -9": ("replica", 0, 0),
    "replica SIGTERM": ("replica", 0, 0),
    "replica SIGSTOP": ("any replica", 4, 9),
    "redis kill -9": ("redis", 0, 3),
    "redis SIGSTOP": ("redis", 1, 7),
    "connections cut": ("any link", 0, 0),
    "connections cut mid-message": ("any link", 1, 2),
    "connections refused": ("any link", 1, 6),
    "connections stalled": ("any link", 2, 9),
    "connections slow": ("any link", 2, 6),
    "postgres stopped": ("postgres", 3, 12),
    "postgres kill -9": ("postgres", 0, 4),
    "postgres SIGSTOP": ("postgres", 2, 10),
    "webhook answers 500": ("webhook", 2, 8),
    "webhook hangs": ("webhook", 2, 8),
    "webhook resets": ("webhook", 2, 8),
    "webhook answers 429": ("webhook", 2, 8),
}


@dataclass(frozen=True)
class Fault:
    """One fault: `at` seconds after the start, lasting `seconds`; `target` is what it strikes."""

    at: float
    kind: str
    target: str
    seconds: float
    number: int = 0
    """A random number, for what else there is to choose."""


@dataclass(frozen=True)
class Struck:
    """A fault that has happened, by the times of the monotonic clock."""

    fault: Fault
    began: float
    ended: float | None = None


@dataclass
class FaultLog:
    """What has happened so far."""

    struck: list[Struck] = field(default_factory=list)

    def between(self, start: float, end: float, *targets: str) -> list[Struck]:
        """Those on a target that begins with one of `targets`, active between two moments."""
        return [
            item
            for item in self.struck
            if item.fault.target.startswith(targets)
            and item.began <= end
            and (item.ended is None or item.ended >= start)
        ]


def schedule(seed: int, seconds: float, mean_gap: float, replicas: int) -> list[Fault]:
    """The faults of a run in order; at most one at a time on each target.

    Every kind comes up before one comes up again. The first replica never ends before the run
    does: of a process that lives long, one can tell whether its memory grows.
    """
    random = Random(seed)
    faults: list[Fault] = []
    free: dict[str, float] = {}
    at = mean_gap / 2
    for kind in _shuffled_for_ever(random):
        if at >= seconds:
            return faults
        where, shortest, longest = KINDS[kind]
        target = _target(where, replicas, random)
        fault = Fault(at, kind, target, random.uniform(shortest, longest), random.getrandbits(30))
        if fault.at >= free.get(target, 0.0):
            faults.append(fault)
            free[target] = fault.at + fault.seconds + 2.0
        at += random.expovariate(1 / mean_gap)
    raise AssertionError("the shuffling never ends")


def _shuffled_for_ever(random: Random) -> Iterator[str]:
    while True:
        yield from random.sample(list(KINDS), len(KINDS))


def _target(where: str, replicas: int, random: Random) -> str:
    names: Sequence[str]
    if where == "replica":
        names = [f"replica-{number}" for number in range(2, replicas + 1)]
    elif where == "any replica":
        names = [f"replica-{number}" for number in range(1, replicas + 1)]
    elif where == "any link":
        # Of one replica, or of all of them.
        names = ["link", *(f"link-{number}" for number in range(1, replicas + 1))]
    else:
        names = [where]
    return random.choice(names)
