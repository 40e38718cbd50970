"""A replica on a real Redis with links and storages made for the test."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from vconflow.adapters.clock import SystemClock
from vconflow.adapters.redis.backend import RedisBackend, RedisOptions, open_backend
from vconflow.app.options import ports_of
from vconflow.model.identifiers import new_uuid
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain, Chains, Step
from vconflow.pipeline.fanout import Fanout, StorageUnit
from vconflow.pipeline.ingest import Ingest
from vconflow.pipeline.lookup import Lookup
from vconflow.pipeline.replica import Policy, Replica, open_replica
from vconflow.pipeline.retry import RetryPolicy
from vconflow.ports.chain_control import NoSwitch
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.ports.storage import Storage
from vconflow.telemetry.spans import Spans
from vconflow.testing.memory_storage import MemoryStorage

LinkFunction = Callable[[Vcon, LinkRun], Awaitable[Outcome]]
FAST = RetryPolicy(attempts=3, base=0.01, max=0.02)


def vcon(uuid: str | None = None, **members: Any) -> bytes:
    document = {
        "vcon": "0.0.1",
        "uuid": uuid or new_uuid(),
        "created_at": "2025-03-21T06:59:56+00:00",
        "parties": [{"tel": "+15550100", "name": "Ann"}],
        "dialog": [],
        **members,
    }
    return json.dumps(document).encode()


async def until(condition: Callable[[], object]) -> None:
    """Wait for something to become true. Raises TimeoutError."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


def tagging(name: str) -> LinkFunction:
    async def link(vcon: Vcon, run: LinkRun) -> Outcome:
        vcon.add_tag(name, name)
        return CONTINUE

    return link


class Crowd:
    """A link that stays a while and adds the tag `a`; `most` is how many were in it at most."""

    def __init__(self) -> None:
        self._running = self.most = 0

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        self._running += 1
        self.most = max(self.most, self._running)
        await asyncio.sleep(0.02)
        self._running -= 1
        vcon.add_tag("a", "a")
        return CONTINUE


def step(name: str, link: LinkFunction | None = None, **options: Any) -> Step:
    return Step(name, link or tagging(name), retry=options.pop("retry", FAST), **options)


def unit(name: str, storage: Storage, **options: Any) -> StorageUnit:
    return StorageUnit(name, storage, retry=options.pop("retry", FAST), **options)


@dataclass
class Site:
    """One replica and what it runs on."""

    backend: RedisBackend
    replica: Replica
    ingest: Ingest
    lookup: Lookup
    memory: dict[str, MemoryStorage] = field(default_factory=dict)

    async def submit(self, *documents: bytes, to: str = "in") -> list[str]:
        accepted = await asyncio.gather(*(self.ingest.accept(d, (to,)) for d in documents))
        return [item.uuid for item in accepted]

    async def settled(self, *lists: str) -> None:
        """Wait until nothing waits or is pending on the lists."""
        async with asyncio.timeout(30):
            while True:
                depths = await self.backend.stream.depth(lists or ("in",))
                if not any(depth.waiting + depth.pending for depth in depths.values()):
                    return
                await asyncio.sleep(0.01)

    async def popped(self, name: str = "out") -> list[str]:
        entries = await self.backend.egress.lease(name, 10_000)
        await self.backend.egress.ack(name, entries)
        return [entry.uuid for entry in entries]

    async def dead(self, name: str = "in") -> list[Any]:
        return await self.backend.dead_letters.browse(name, after="", count=1000)


@asynccontextmanager
async def site(
    url: str,
    *chains: Chain,
    storages: Mapping[str, StorageUnit] | None = None,
    name: str = "one",
    lease: float = 30.0,
    start: bool = True,
    document_ttl: int = 3600,
    durability: str = "",
    shards: int | None = None,
    spans: Spans | None = None,
    **policy: Any,
) -> AsyncIterator[Site]:
    units = dict(storages or {})
    options = RedisOptions(
        replica=name,
        lease=lease,
        document_ttl=document_ttl,
        durability=durability,
        shards=shards,
    )
    async with open_backend(url, options) as backend:
        ports = replace(ports_of(backend, SystemClock()), switch=NoSwitch())
        by_name = Chains({chain.name: chain for chain in chains})
        settings = Policy(lease=lease, grace=policy.pop("grace", 5.0), **policy)
        async with open_replica(ports, by_name, Fanout(units, spans=spans), settings, spans) as (
            replica,
            ingest,
            lookup,
        ):
            if start:
                await replica.start()
            memory = {
                key: item.storage
                for key, item in units.items()
                if isinstance(item.storage, MemoryStorage)
            }
            yield Site(backend, replica, ingest, lookup, memory)
