"""Nobody loses entries for not having renewed them while Redis was away."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from cuts_support import socket_of
from pipeline_support import Site, site, step, until, vcon
from redis.asyncio import Redis

from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.testing.tcp_proxy import TcpProxy, tcp_proxy

LEASE = 1.2
AWAY = 1.5 * LEASE
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
        while await oldest_idle(url) < AWAY:
            await asyncio.sleep(0.05)


class Outage(NamedTuple):
    """`b` is back already, `a` when the test says so."""

    a: Site
    to_a: TcpProxy
    b: Site


@asynccontextmanager
async def after_an_outage(url: str, link: Slow) -> AsyncIterator[tuple[list[str], Outage]]:
    """Replica `a` has all the work, `b` none; both were cut off for longer than a lease."""
    async with replica(url, link, "a") as (a, to_a):
        uuids = await a.submit(*(vcon() for _ in range(COUNT)))
        await until(lambda: a.replica.consumer.inflight("main") == COUNT)
        async with replica(url, link, "b") as (b, to_b):
            to_a.refuse()
            to_b.refuse()
            await has_expired(url)
            to_b.restore()
            yield uuids, Outage(a, to_a, b)


async def test_the_first_that_is_back_spares_the_others(valkey_url: str) -> None:
    link = Slow()
    async with after_an_outage(valkey_url, link) as (uuids, it):
        await asyncio.sleep(LEASE / 2)
        it.to_a.restore()
        await asyncio.sleep(1.5 * LEASE)
        assert it.b.replica.consumer.inflight("main") == 0
        link.go.set()
        await it.a.settled()
        assert link.calls == Counter(uuids)
        assert Counter(await it.a.popped()) == Counter(uuids)
        assert await it.a.dead() == []


async def test_one_that_stays_away_is_taken_over_all_the_same(valkey_url: str) -> None:
    link = Slow()
    async with after_an_outage(valkey_url, link) as (uuids, it):
        link.go.set()
        await it.b.settled()
        assert set(link.calls.values()) == {2}
        assert Counter(await it.b.popped()) == Counter(uuids)
        assert await it.b.dead() == []
        it.to_a.restore()
