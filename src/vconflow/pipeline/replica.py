"""One replica: everything of the pipeline, wired to the ports it is given."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from vconflow.pipeline.breaker import Breaker
from vconflow.pipeline.chain import Chains
from vconflow.pipeline.commits import Commits
from vconflow.pipeline.consumer import Consumer, Limits
from vconflow.pipeline.failure import Failures
from vconflow.pipeline.fanout import Fanout
from vconflow.pipeline.housekeeping import Housekeeping, Sweeper
from vconflow.pipeline.ingest import Ingest
from vconflow.pipeline.leases import Leases
from vconflow.pipeline.lookup import Lookup
from vconflow.pipeline.outage import Outage
from vconflow.pipeline.probing import Prober
from vconflow.pipeline.processor import Processor
from vconflow.pipeline.reader import Reader
from vconflow.pipeline.supervisor import Supervisor, supervised
from vconflow.ports.clock import Clock
from vconflow.ports.dead_letters import DeadLetters
from vconflow.ports.documents import Documents
from vconflow.ports.intake import Intake
from vconflow.ports.ledger import Ledger
from vconflow.ports.stream import EntryStream
from vconflow.telemetry import events

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
    """Reads, processes and keeps house from `start` to `stop`."""

    def __init__(
        self,
        ports: Ports,
        lookup: Lookup,
        chains: Chains,
        fanout: Fanout,
        policy: Policy,
        supervisor: Supervisor,
    ) -> None:
        self.chains = chains
        self.breakers = fanout.breakers
        self._ports = ports
        self._policy = policy
        self._supervisor = supervisor
        self._fanout = fanout
        failures = Failures(fanout, ports.clock, random.random, policy.poison_crashes)
        outage = Outage()
        self._commits = Commits(ports.documents, ports.ledger, ports.clock)
        limits = Limits(policy.max_inflight, policy.max_waiting, policy.poison_crashes)
        processor = Processor(self._commits, lookup, fanout, chains, failures)
        self.consumer = Consumer(
            chains, ports.stream, processor, ports.clock, limits, fanout.breakers, outage
        )
        self._prober = Prober(fanout.breakers, fanout, ports.clock, policy.longest_probe)
        fanout.breakers.on_change = self._breaker_changed
        self._reader = Reader(chains, ports.stream, self.consumer, ports.clock, outage)
        self.consumer.on_free = self._reader.look_again
        self._leases = Leases(
            chains, ports.stream, self.consumer, ports.clock, outage, policy.lease
        )
        self.housekeeping = Housekeeping(
            chains,
            ports.stream,
            self.consumer,
            ports.dead_letters,
            ports.sweeper,
            ports.clock,
            outage,
            dead_expiry=policy.dead_expiry,
        )
        self.stopping = False

    async def start(self) -> None:
        """Go on with what an earlier life left, then read."""
        for chain in self.chains.by_name.values():
            if chain.held:
                events.chain_held(chain.name, chain.held)
        await self._ports.stream.ensure(self.chains.lists)
        await self._leases.recover()
        self._supervisor.start("reader", self._reader.run())
        self._supervisor.start("leases", self._leases.run())
        self._supervisor.start("probe", self._prober.run())
        self._supervisor.start("measure", self.housekeeping.measure())
        self._supervisor.start("tidy", self.housekeeping.tidy())

    async def stop(self) -> None:
        """Drain: finish what can be finished in time and hand over the rest, losing nothing."""
        self.stopping = True
        self.consumer.stop()
        self._reader.stop()
        await self._supervisor.finished("reader")
        # Leases are renewed to the last: what is still being finished must stay ours.
        await self.consumer.drain(self._policy.grace)
        await self._supervisor.stop("leases")
        await self._fanout.stop()
        # A commit under way outlives the task that wanted it; only then is it clear what is left.
        await self._commits.drain()
        await self.consumer.hand_over()

    def _breaker_changed(self, _breaker: Breaker) -> None:
        self._prober.look()
        self._reader.look_again()

    async def failed(self) -> None:
        """Wait until a part of the replica died that it cannot work without."""
        await self._supervisor.failed.wait()


@asynccontextmanager
async def open_replica(
    ports: Ports, chains: Chains, fanout: Fanout, policy: Policy
) -> AsyncIterator[tuple[Replica, Ingest, Lookup]]:
    """A replica and its ways in; `start` it when all else is ready. Drains at the end."""
    lookup = Lookup(ports.documents, lambda: fanout, read_storages=policy.read_storages)
    ingest = Ingest(ports.intake, lookup, lambda: chains)
    async with supervised() as supervisor:
        replica = Replica(ports, lookup, chains, fanout, policy, supervisor)
        try:
            yield replica, ingest, lookup
        finally:
            await ingest.drain()
            if not replica.stopping:
                await replica.stop()
