"""A site in memory: replicas that can be killed at any point, storages and links that fail."""

import asyncio
import random
from collections.abc import Coroutine, Sequence
from contextvars import ContextVar
from typing import Any, cast
from weakref import WeakSet

from jumping_loop import LoopClock

from vconflow.errors import Permanent, Retryable
from vconflow.model.entry import StoredVcon
from vconflow.model.vcon import Vcon
from vconflow.pipeline.breaker import Breakers
from vconflow.pipeline.chain import Chain, Chains, Step
from vconflow.pipeline.fanout import Fanout, StorageUnit
from vconflow.pipeline.ingest import Ingest
from vconflow.pipeline.lookup import Lookup
from vconflow.pipeline.replica import Policy, Ports, open_replica
from vconflow.ports.ledger import Commit, CommitResult, Finish, Ledger, Verdict
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.testing.memory import MemoryServer
from vconflow.testing.memory_storage import MemoryStorage

__all__ = ["LEASE", "SimulatedReplica", "SimulatedSite"]

LEASE = 30.0
_LIFE: ContextVar["SimulatedReplica | None"] = ContextVar("life", default=None)


class Mortal:
    """A port of a replica. Of a dead one, calls reach nobody and answers reach nobody."""

    def __init__(self, port: Any, replica: "SimulatedReplica") -> None:
        self._port, self._replica = port, replica

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def call(*args: Any, **options: Any) -> Any:
            await self._replica.network()
            answer = await found(*args, **options)
            await self._replica.network()
            return answer

        return call


class WatchedLedger:
    """Sees to it that whatever is handed on is in all storages, in that very revision."""

    def __init__(self, ledger: Ledger, storages: Sequence[MemoryStorage]) -> None:
        self._ledger, self._storages = ledger, storages

    async def commit(self, batch: Sequence[Commit]) -> list[CommitResult | Exception]:
        results = await self._ledger.commit(batch)
        for commit, result in zip(batch, results, strict=True):
            if (
                isinstance(commit.then, Finish)
                and commit.then.targets
                and isinstance(result, CommitResult)
                and result.verdict is Verdict.DONE
            ):
                revs = [storage.vcons[commit.uuid].rev for storage in self._storages]
                assert min(revs) >= result.rev, "handed on before it was stored"
        return results


class FlakyStorage(MemoryStorage):
    """Fails now and then until `calm`, and always until `away_until` (the loop's seconds)."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.chance = chance
        self.calm = False
        self.away_until = 0.0

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        await self._trouble()
        await super().put(vcons)
        # It has them, but whoever wrote does not get to know.
        await self._trouble()

    async def _answer(self) -> None:
        await super()._answer()
        if asyncio.get_running_loop().time() < self.away_until:
            raise Retryable("away")

    async def _trouble(self) -> None:
        draw = 1.0 if self.calm else self.chance.random()
        if draw < 0.02:
            self.away_until = asyncio.get_running_loop().time() + self.chance.uniform(1, 200)
            raise Retryable("going away")
        if draw < 0.05:
            await asyncio.sleep(100_000)
        if draw < 0.1:
            raise self.chance.choice([Retryable("try again"), ValueError("a bug"), OSError("io")])
        await asyncio.sleep(self.chance.choice([0, 0, 0.01, 1]))


class SimulatedSite:
    """What replicas share. `poison` and `killers` are uuids that links can do nothing with."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.server = MemoryServer(LoopClock())
        self.storages = {name: FlakyStorage(self.chance) for name in ("left", "right")}
        self.poison: set[str] = set()
        self.killers: set[str] = set()
        self.calm = False
        asyncio.get_running_loop().set_task_factory(_tagging)

    def calm_down(self) -> None:
        """From now on all that is called answers."""
        self.calm = True
        for storage in self.storages.values():
            storage.calm = True
            storage.away_until = 0.0

    @property
    def chains(self) -> Chains:
        first = Chain("first", self._steps("a", "b"), (), ("in",), egress=("next",))
        stored = ("left", "right")
        return Chains(
            {
                "first": first,
                "second": Chain("second", self._steps("c"), stored, ("next",), ("out",)),
            }
        )

    def _steps(self, *names: str) -> tuple[Step, ...]:
        return tuple(Step(name, self.link, timeout=20.0, paid=name == "b") for name in names)

    async def link(self, vcon: Vcon, run: LinkRun) -> Outcome:
        """Any step of any chain."""
        vcon.add_tag(run.link, "x")
        await asyncio.sleep(self.chance.choice([0, 0, 0.01, 1]))
        draw = 1.0 if self.calm else self.chance.random()
        if vcon.uuid in self.poison:
            raise Permanent("poison")
        replica = _LIFE.get()
        if replica and (vcon.uuid in self.killers or draw < 0.01):
            replica.kill()
            await asyncio.sleep(100_000)
        if draw < 0.05:
            await asyncio.sleep(100_000)
        if draw < 0.2:
            raise self.chance.choice([Retryable("try again"), ValueError("a bug"), OSError("io")])
        return CONTINUE


class SimulatedReplica:
    """One life of a replica, from `start` until `kill` or `stop`."""

    def __init__(self, site: SimulatedSite, name: str) -> None:
        self._site, self._name = site, name
        self.dead = False
        self.tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        self.ingest: Ingest | None = None
        self.lookup: Lookup | None = None
        self._stop = asyncio.Event()
        self._ready = asyncio.Event()
        self.ended = asyncio.Event()

    async def network(self) -> None:
        """A moment in which the replica may die; a dead one gets nowhere."""
        await asyncio.sleep(0)
        if self.dead:
            await asyncio.sleep(1_000_000)

    async def start(self) -> None:
        token = _LIFE.set(self)
        self._main = asyncio.create_task(self._live())
        _LIFE.reset(token)
        self._main.add_done_callback(lambda _: self.ended.set())
        await self._ready.wait()

    async def _live(self) -> None:
        site = self._site
        backend = site.server.replica(self._name, lease=LEASE)
        ledger = WatchedLedger(backend.ledger, list(site.storages.values()))
        second = (backend.intake, backend.documents, ledger, backend.stream, backend.dead_letters)
        mortal = [cast("Any", Mortal(port, self)) for port in (*second, backend.documents)]
        units = {
            name: StorageUnit(name, storage, timeout=20.0)
            for name, storage in site.storages.items()
        }
        ports, policy = Ports(*mortal, LoopClock()), Policy(lease=LEASE)
        fanout = Fanout(units, Breakers(now=LoopClock().now))
        async with open_replica(ports, site.chains, fanout, policy) as opened:
            replica, self.ingest, self.lookup = opened
            await replica.start()
            self._ready.set()
            await self._stop.wait()
        backend.close()

    def kill(self) -> None:
        """End at once, as by SIGKILL: nothing is finished and nothing handed over."""
        self.dead = True
        asyncio.get_running_loop().call_soon(self._cancel)

    def _cancel(self) -> None:
        left = [task for task in self.tasks if not task.done()]
        for task in left:
            task.cancel()
        if left:
            asyncio.get_running_loop().call_later(0.01, self._cancel)

    async def stop(self) -> None:
        """SIGTERM, and wait for its end."""
        self._stop.set()
        await self.ended.wait()


def _tagging(
    loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    task = asyncio.Task(coro, loop=loop, **options)
    life = _LIFE.get()
    if life is not None:
        # Once it has begun: code that never ran cannot be interrupted either.
        loop.call_soon(life.tasks.add, task)
    return task
