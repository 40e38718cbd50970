"""What seldom happens around breakers: refusals, drivers that cancel, and what flaps for hours."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from pipeline_support import Site, site, step, unit, until, vcon

from vconflow.adapters.clock import SystemClock
from vconflow.errors import Permanent, Retryable
from vconflow.model.entry import StoredVcon
from vconflow.model.identifiers import new_uuid
from vconflow.model.vcon import Vcon
from vconflow.pipeline.breaker import Breaker, Breakers
from vconflow.pipeline.chain import Chain
from vconflow.pipeline.fanout import Fanout
from vconflow.pipeline.probing import Prober
from vconflow.pipeline.retry import RetryPolicy
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.testing.memory_storage import MemoryStorage

PROBE = 0.05
STORING = Chain("main", (), ("s",), ("in",), egress=("out",))


async def test_refusals_that_asked_nobody_do_not_hide_an_outage(valkey_url: str) -> None:
    down = True

    async def link(vcon: Vcon, run: LinkRun) -> Outcome:
        if vcon.subject == "odd":
            raise Permanent("has no recording")
        if down:
            raise Retryable("connection refused")
        return CONTINUE

    hook = step("hook", link, retry=RetryPolicy(5, 0.01, 0.02))
    chain = Chain("main", (hook,), (), ("in",), egress=("out",), concurrency=16)
    async with site(valkey_url, chain, longest_probe=PROBE) as it:
        good, odd = await mixed_traffic(it)
        await until(lambda: bool(it.replica.breakers.open_ones))
        down = False
        await it.settled()
        assert sorted(await it.popped()) == sorted(good)
        assert sorted(letter.uuid for letter in await it.dead()) == sorted(odd)


async def mixed_traffic(it: Site) -> tuple[list[str], list[str]]:
    """Submit some that need the service, each with many around it that the link refuses."""
    good: list[str] = []
    odd: list[str] = []
    for _ in range(8):
        good += await it.submit(vcon())
        for _ in range(12):
            odd += await it.submit(vcon(subject="odd"))
            await asyncio.sleep(0.01)
    return good, odd


class Cancelling(MemoryStorage):
    """While it is down its driver cancels what waits for it, as a pool does that closes."""

    down = True

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        self._cancel()
        await super().put(vcons)

    async def delete(self, uuid: str) -> bool:
        self._cancel()
        return await super().delete(uuid)

    async def get(self, uuid: str) -> bytes | None:
        self._cancel()
        return await super().get(uuid)

    async def ping(self) -> None:
        self._cancel()

    def _cancel(self) -> None:
        if self.down:
            raise asyncio.CancelledError


async def test_a_storage_that_cancels_is_one_that_is_down(valkey_url: str) -> None:
    storage = Cancelling()
    units = {"s": unit("s", storage)}
    async with site(valkey_url, STORING, storages=units, longest_probe=PROBE) as it:
        uuids = await it.submit(*(vcon() for _ in range(5)))
        await until(lambda: bool(it.replica.breakers.open_ones))
        (breaker,) = it.replica.breakers.open_ones
        assert (breaker.name, breaker.error) == ("storage:s", "cancelled from inside")
        storage.down = False
        await it.settled()
        assert sorted(await it.popped()) == sorted(uuids)
        assert await it.dead() == []
        assert sorted(storage.vcons) == sorted(uuids)


async def test_a_ping_that_cancels_does_not_end_the_probing(valkey_url: str) -> None:
    class Pinged(Cancelling):
        pings = 0

        async def put(self, vcons: Sequence[StoredVcon]) -> None:
            if self.down:
                raise Retryable("away")
            await super().put(vcons)

        async def ping(self) -> None:
            self.pings += 1
            await super().ping()

    storage = Pinged()
    units = {"s": unit("s", storage)}
    async with site(valkey_url, STORING, storages=units, longest_probe=PROBE) as it:
        uuids = await it.submit(*(vcon() for _ in range(3)))
        await until(lambda: storage.pings >= 2)
        storage.down = False
        await it.settled()
        assert sorted(await it.popped()) == sorted(uuids)


async def test_whoever_reads_or_deletes_gets_an_answer_when_a_storage_cancels(
    valkey_url: str,
) -> None:
    storage = Cancelling()
    storage.down = False
    async with site(valkey_url, STORING, storages={"s": unit("s", storage)}) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled()
        storage.down = True
        deletion = await it.lookup.delete(uuid)
        assert deletion.failed == {"s": "cancelled from inside"}
        with pytest.raises(Retryable, match="cannot be read now: s"):
            await it.lookup.get(new_uuid())


# What flaps leaves nothing behind.


async def test_one_parked_behind_two_is_forgotten_by_both() -> None:
    breakers = Breakers(1)
    flapping, down = breakers.of("storage:a"), breakers.of("storage:b")
    down.trip()
    flapping.trip()
    waiting = [asyncio.create_task(pass_for_ever(breakers)) for _ in range(10)]
    await asyncio.sleep(0)
    for _ in range(20):
        flapping.succeeded()
        flapping.trip()
        await let_all_run()
    assert [len(breaker._parked) for breaker in (flapping, down)] == [10, 10]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert [len(breaker._parked) for breaker in (flapping, down)] == [0, 0]


async def pass_for_ever(breakers: Breakers) -> None:
    while True:
        await breakers.passage(("storage:a", "storage:b"))
        await asyncio.sleep(0)


async def let_all_run() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_probe_ends_with_the_opening_that_it_is_for() -> None:
    breakers = Breakers(1)
    async with probing(breakers):
        before = len(asyncio.all_tasks())
        for _ in range(20):
            await flap(breakers.of("link:x"))
        assert len(asyncio.all_tasks()) <= before + 1


@asynccontextmanager
async def probing(breakers: Breakers) -> AsyncIterator[None]:
    prober = Prober(breakers, Fanout({}, breakers).ping, SystemClock(), 15.0)
    breakers.on_change = lambda _: prober.look()
    running = asyncio.create_task(prober.run())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running])


async def flap(breaker: Breaker) -> None:
    breaker.failed(Retryable("429", retry_after=600))
    await let_all_run()
    breaker.succeeded()
    await let_all_run()
