"""Nobody loses entries for not having renewed them while Redis was away."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cuts_support import socket_of
from pipeline_support import Site, site, step, vcon
from redis.asyncio import Redis
from trouble_support import until

from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.testing.tcp_proxy import TcpProxy, tcp_proxy

LEASE = 1.2
OUTAGE = 1.5 * LEASE
COUNT = 20


@dataclass
class Slow:
    """A link that is at work for as long as the test wants; counts its calls by uuid."""

    calls: Counter[str] = field(default_factory=Counter)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        self.calls[vcon.uuid] += 1
        await self.go.wait()
        return CONTINUE


@asynccontextmanager
async def replica(url: str, link: Slow, name: str) -> AsyncIterator[tuple[Site, TcpProxy]]:
    """A replica that can be cut off from Redis."""
    chain = Chain("main", (step("slow", link),), lists=("in",), egress=("out",))
    async with (
        tcp_proxy(socket_of(url)) as proxy,
        site(f"redis://127.0.0.1:{proxy.port}", chain, name=name, lease=LEASE, grace=0) as it,
    ):
        yield it, proxy


async def oldest_idle(url: str) -> float:
    """Seconds since the renewal of the entry that was renewed longest ago."""
    async with Redis.from_url(url) as client:
        rows = await client.xpending_range("vconflow:list:in", "vconflow", "-", "+", COUNT)
    return max((row["time_since_delivered"] / 1000 for row in rows), default=0.0)


async def has_expired(url: str) -> None:
    """Wait until nobody has renewed for longer than a lease."""
    async with asyncio.timeout(30):
        while await oldest_idle(url) < OUTAGE:
            await asyncio.sleep(0.05)


def held(it: Site) -> Callable[[], bool]:
    return lambda: it.replica.consumer.inflight("main") == COUNT


async def test_the_first_that_is_back_spares_the_others(valkey_url: str) -> None:
    link = Slow()
    async with replica(valkey_url, link, "a") as (a, to_a):
        uuids = await a.submit(*(vcon() for _ in range(COUNT)))
        await until(held(a))
        async with replica(valkey_url, link, "b") as (b, to_b):
            to_a.refuse()
            to_b.refuse()
            await has_expired(valkey_url)
            to_b.restore()
            await asyncio.sleep(LEASE / 2)
            to_a.restore()
            await asyncio.sleep(1.5 * LEASE)
            assert b.replica.consumer.inflight("main") == 0
            link.go.set()
            await a.settled()
            assert link.calls == Counter(uuids)
            assert Counter(await a.popped()) == Counter(uuids)
            assert await a.dead() == []


async def test_one_that_stays_away_is_taken_over_all_the_same(valkey_url: str) -> None:
    link = Slow()
    async with replica(valkey_url, link, "a") as (a, to_a):
        uuids = await a.submit(*(vcon() for _ in range(COUNT)))
        await until(held(a))
        async with replica(valkey_url, link, "b") as (b, to_b):
            to_a.refuse()
            to_b.refuse()
            await has_expired(valkey_url)
            to_b.restore()
            link.go.set()
            await b.settled()
            assert set(link.calls.values()) == {2}
            assert Counter(await b.popped()) == Counter(uuids)
            assert await b.dead() == []
            to_a.restore()
