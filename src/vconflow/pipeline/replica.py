"""One replica: everything of the pipeline, wired to the ports it is given."""

import random
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from vconflow.errors import Unavailable
from vconflow.pipeline.breaker import Breaker
from vconflow.pipeline.chain import Chains
from vconflow.pipeline.commits import Commits
from vconflow.pipeline.consumer import Consumer, Limits
from vconflow.pipeline.failure import Failures
from vconflow.pipeline.fanout import Fanout, breaker_of
from vconflow.pipeline.generation import Generation, Generations
from vconflow.pipeline.housekeeping import Housekeeping, Sweeper
from vconflow.pipeline.ingest import Ingest
from vconflow.pipeline.late_writes import LateWrites
from vconflow.pipeline.leases import Leases
from vconflow.pipeline.lookup import Lookup
from vconflow.pipeline.outage import Outage
from vconflow.pipeline.pausing import Pauses
from vconflow.pipeline.probing import Prober
from vconflow.pipeline.processor import Processor
from vconflow.pipeline.reader import Reader
from vconflow.pipeline.supervisor import Supervisor, supervised
from vconflow.pipeline.tracers import ping_tracer
from vconflow.ports.chain_control import ChainSwitch, NoSwitch
from vconflow.ports.clock import Clock
from vconflow.ports.dead_letters import DeadLetters
from vconflow.ports.documents import Documents
from vconflow.ports.intake import Intake
from vconflow.ports.ledger import Ledger
from vconflow.ports.stream import EntryStream
from vconflow.telemetry import events
from vconflow.telemetry.spans import Spans

__all__ = ["Policy", "Ports", "Replica", "open_replica"]


@dataclass(frozen=True)
class Ports:
    """What a replica runs on."""

    intake: Intake
    documents: Documents
    ledger: Ledger
    stream: EntryStream
    dead_letters: DeadLetters
    sweeper: Sweeper
    clock: Clock
    switch: ChainSwitch = field(default_factory=NoSwitch)


@dataclass(frozen=True)
class Policy:
    """How a replica behaves. Times are in seconds; `dead_expiry` 0 keeps dead letters for ever.

    `max_inflight` and `max_waiting` are those of `Limits`; what is down is asked again at least
    every `longest_probe` seconds.
    """

    max_inflight: int = 1024
    max_waiting: int = 10_000
    longest_probe: float = 15.0
    lease: float = 30.0
    grace: float = 25.0
    poison_crashes: int = 3
    dead_expiry: int = 604800
    read_storages: bool = True


class Replica:
    """Reads, processes and keeps house from `start` to `stop`.

    `generations` says by what chains and storages; `prepare` and `switch_to` change that
    while it runs.
    """

    def __init__(
        self,
        ports: Ports,
        commits: Commits,
        late_writes: LateWrites,
        generations: Generations,
        policy: Policy,
        supervisor: Supervisor,
    ) -> None:
        self.generations = generations
        self.breakers = generations.fanout().breakers
        self._ports = ports
        self._policy = policy
        self._supervisor = supervisor
        self._commits = commits
        self._late_writes = late_writes
        outage, chains = Outage(), generations.chains
        limits = Limits(policy.max_inflight, policy.max_waiting, policy.poison_crashes)
        self.consumer = Consumer(
            lambda: generations.current,
            ports.stream,
            commits,
            ports.clock,
            limits,
            self.breakers,
            outage,
        )
        self._prober = Prober(self.breakers, self._ping, ports.clock, policy.longest_probe)
        self.breakers.on_change = self._breaker_changed
        self._reader = Reader(
            chains, ports.stream, ports.documents, self.consumer, ports.clock, outage
        )
        self.consumer.on_free = self._reader.look_again
        self._leases = Leases(
            chains, ports.stream, self.consumer, ports.clock, outage, policy.lease
        )
        self.pauses = Pauses(ports.switch, outage, self._paused)
        self.housekeeping = Housekeeping(
            chains,
            ports.stream,
            self.consumer,
            ports.dead_letters,
            ports.sweeper,
            ports.clock,
            outage,
            self.pauses,
            dead_expiry=policy.dead_expiry,
        )
        self.stopping = False

    async def start(self) -> None:
        """Go on with what an earlier life left, then read."""
        _tell_held(self.chains, Chains({}))
        await self._ports.stream.ensure(self.chains.lists)
        await self.pauses.refresh()
        await self._leases.recover()
        self._supervisor.start("reader", self._reader.run())
        self._supervisor.start("leases", self._leases.run())
        self._supervisor.start("follow", self._leases.follow())
        self._supervisor.start("pauses", self.pauses.follow())
        self._supervisor.start("announcements", self.pauses.listen())
        self._supervisor.start("probe", self._prober.run())
        self._supervisor.start("measure", self.housekeeping.measure())
        self._supervisor.start("tidy", self.housekeeping.tidy())

    async def stop(self) -> None:
        """Drain: finish what can be finished in time and hand over the rest, losing nothing."""
        self.stopping = True
        self.consumer.stop()
        self._reader.stop()
        await self._supervisor.finished("reader")
        await self._supervisor.stop("follow")
        # Leases are renewed to the last: what is still being finished must stay ours.
        deadline = self._ports.clock.monotonic() + self._policy.grace
        await self.consumer.drain(self._policy.grace)
        await self._late_writes.drain(max(0.0, deadline - self._ports.clock.monotonic()))
        await self._supervisor.stop("leases")
        await self.generations.stop()
        # A commit under way outlives the task that wanted it; only then is it clear what is left.
        await self._commits.drain()
        await self.consumer.hand_over()

    @property
    def chains(self) -> Chains:
        """The chains in force."""
        return self.generations.chains()

    @property
    def fanout(self) -> Fanout:
        """The storages in force."""
        return self.generations.fanout()

    def rate(self, chain: str) -> float:
        """Entries of a chain that this replica finished per second over the last minute."""
        return self.consumer.rates.rate(chain, self._ports.clock.monotonic())

    async def prepare(self, chains: Chains) -> None:
        """Do what must be done before `switch_to`. Raises Unavailable."""
        # Before anybody accepts for them.
        await self._ports.stream.ensure([n for n in chains.lists if n not in self.chains.by_list])

    def switch_to(
        self, chains: Chains, fanout: Fanout, changed: Collection[str] = ()
    ) -> Generation:
        """Go on with other chains and storages, prepared; returns the generation that retires.

        Attempts under way end as they began. `changed` names breakers of what is configured in
        another way now. Raises Unavailable, and nothing has changed then, while the replica stops.
        """
        if self.stopping:
            raise Unavailable("vconflow is stopping")
        retired = self.generations.swap(chains, fanout)
        self.breakers.configure(_breakers(chains, fanout), changed)
        self.consumer.reconfigure(frozenset(changed))
        self._reader.reconsider()
        self._leases.reconfigure()
        _tell_held(chains, retired.chains)
        return retired

    async def pause(self, chain: str) -> None:
        """Stop reading a chain on every replica, and here before it returns. Raises Unavailable."""
        await self.pauses.pause(chain)
        await self._reader.come_round()

    async def resume(self, chain: str) -> None:
        """Read a chain again on every replica. Raises Unavailable."""
        await self.pauses.resume(chain)

    def _paused(self, chains: frozenset[str]) -> None:
        self.consumer.pause(chains)
        self._reader.reconsider()

    def _breaker_changed(self, _breaker: Breaker) -> None:
        self._prober.look()
        self._reader.look_again()

    async def _ping(self, breaker: str) -> None:
        """Ask what a breaker guards whether it is there; a link cannot be asked."""
        kind, _, name = breaker.partition(":")
        if kind == "storage":
            await self.fanout.ping(name)
        elif kind == "tracer" and (tracer := self.chains.tracers.get(name)):
            await ping_tracer(tracer, self.fanout.usage)

    async def failed(self) -> None:
        """Wait until a part of the replica died that it cannot work without."""
        await self._supervisor.failed.wait()


@asynccontextmanager
async def open_replica(
    ports: Ports, chains: Chains, fanout: Fanout, policy: Policy, spans: Spans | None = None
) -> AsyncIterator[tuple[Replica, Ingest, Lookup]]:
    """A replica and its ways in; `start` it when all else is ready. Drains at the end."""
    commits = Commits(ports.documents, ports.ledger, ports.clock)
    late_writes = LateWrites(commits, lambda: generations.current.fanout, ports.clock)

    def processor(fanout: Fanout) -> Processor:
        failures = Failures(fanout, ports.clock, random.random, policy.poison_crashes)
        return Processor(
            commits,
            lookup,
            fanout,
            lambda: generations.current.chains,
            failures,
            late_writes,
            spans,
        )

    lookup = Lookup(
        ports.documents, lambda: generations.current.fanout, read_storages=policy.read_storages
    )
    generations = Generations(processor, chains, fanout)
    ingest = Ingest(ports.intake, lookup, generations.chains)
    async with supervised() as supervisor:
        replica = Replica(ports, commits, late_writes, generations, policy, supervisor)
        try:
            yield replica, ingest, lookup
        finally:
            await ingest.drain()
            if not replica.stopping:
                await replica.stop()


def _breakers(chains: Chains, fanout: Fanout) -> list[str]:
    needed = [name for chain in chains.by_name.values() for name in chain.needs]
    return [*needed, *map(breaker_of, fanout.names)]


def _tell_held(chains: Chains, before: Chains) -> None:
    for name, chain in chains.by_name.items():
        if chain.held and (name not in before.by_name or not before.by_name[name].held):
            events.chain_held(chain.name, chain.held)
