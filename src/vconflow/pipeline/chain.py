"""A chain as it runs: opened links, and where its vCons come from and go to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from vconflow.pipeline.fanout import breaker_of
from vconflow.pipeline.retry import RetryPolicy
from vconflow.ports.ledger import Target
from vconflow.ports.link import Link
from vconflow.ports.tracer import Tracer

__all__ = ["Chain", "Chains", "Step", "TracerUnit"]


@dataclass(frozen=True)
class Step:
    """One link of a chain. `timeout` is in seconds for one attempt.

    `paid` marks a link whose call costs money: its result is kept before the next step begins.
    `repeatable` marks one that costs nothing and does nothing but change the vCon in memory or say
    where it goes: that may stay in memory until the storages have it, and is done again after a
    crash. `routes` are the lists that it may put vCons on.
    """

    name: str
    link: Link
    timeout: float = 60.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    paid: bool = False
    repeatable: bool = False
    routes: tuple[str, ...] = ()

    @cached_property
    def breaker(self) -> str:
        """The name of the breaker of this link, in whatever chains it stands."""
        return f"link:{self.name}"


@dataclass(frozen=True)
class TracerUnit:
    """An opened tracer and how it is used; `timeout` is in seconds for one passage."""

    name: str
    tracer: Tracer
    timeout: float = 10.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    @cached_property
    def breaker(self) -> str:
        """The name of its breaker, and of the stage at which a vCon fails that it cannot trace."""
        return f"tracer:{self.name}"


@dataclass(frozen=True)
class Chain:
    """Links in order, then storages in parallel, then egress lists.

    `tracers` are told before the first link and after each. `timeout` is in seconds for all links
    of one attempt. `held` says why the chain does not run
    although it is enabled; its lists then keep what they accept.
    """

    name: str
    steps: tuple[Step, ...] = ()
    storages: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    egress: tuple[str, ...] = ()
    concurrency: int = 128
    timeout: float | None = None
    held: str | None = None
    tracers: tuple[TracerUnit, ...] = ()

    @cached_property
    def breakers(self) -> tuple[str, ...]:
        """The names of the breakers that stop reading its lists: of links and needed tracers."""
        required = (it.breaker for it in self.tracers if it.tracer.required)
        return (*(step.breaker for step in self.steps), *required)

    @cached_property
    def needs(self) -> frozenset[str]:
        """The names of all breakers that its entries may have to pass."""
        tracers = (it.breaker for it in self.tracers)
        return frozenset((*self.breakers, *tracers, *map(breaker_of, self.storages)))

    def position(self, link: str) -> int:
        """The index of a link by name; the first when the chain has no such link any more."""
        if not link:
            return 0
        return next((i for i, step in enumerate(self.steps) if step.name == link), 0)


class Chains:
    """All enabled chains, and which list feeds which."""

    def __init__(self, chains: Mapping[str, Chain]) -> None:
        self.by_name = dict(chains)
        self.by_list = {name: chain for chain in chains.values() for name in chain.lists}
        self.lists = list(self.by_list)

    def target(self, list_name: str) -> Target:
        """The list as a place to hand a vCon to."""
        return Target(list_name, list_name in self.by_list)

    @cached_property
    def tracers(self) -> dict[str, TracerUnit]:
        """The tracers of all chains by name."""
        return {it.name: it for chain in self.by_name.values() for it in chain.tracers}

    @cached_property
    def concurrency(self) -> int:
        """How much all chains together may do at the same time."""
        return sum(chain.concurrency for chain in self.by_name.values())

    @cached_property
    def all_lists(self) -> list[str]:
        """Every list that a chain reads or writes, those that its links route to included."""
        written = [
            name
            for chain in self.by_name.values()
            for names in (chain.egress, *(step.routes for step in chain.steps))
            for name in names
        ]
        return list(dict.fromkeys([*self.lists, *written]))
