"""Reading ahead: a quick chain gets more entries than it may work on, a slow one never."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from pipeline_support import Site, site, step, until, vcon

from vconflow.model.vcon import Vcon
from vconflow.pipeline.ahead import WINDOW, Pace
from vconflow.pipeline.chain import Chain
from vconflow.pipeline.slots import HeldSlot, Slots
from vconflow.ports.link import CONTINUE, LinkRun, Outcome

CONCURRENCY = 8


def test_the_pace_is_that_of_the_last_full_window() -> None:
    now = 100.0
    pace = Pace(lambda: now, window=1.0)
    for _ in range(5):
        pace.count("a")
    assert (pace.of("a"), pace.of("b")) == (0, 0)
    now += 1.0
    assert pace.of("a") == 5
    pace.count("a")
    assert pace.of("a") == 5
    now += 1.5
    assert pace.of("a") == 1
    # Nothing was finished in the window before this one.
    now += 2.0
    assert pace.of("a") == 0
    pace.count("a")
    now += 9.0
    assert pace.of("a") == 0


def test_who_leaves_its_slot_makes_room_and_is_finishing() -> None:
    freed = 0

    def count() -> None:
        nonlocal freed
        freed += 1

    slots = Slots(10, count)
    for _ in range(2):
        slots.take("a")
    first, second = HeldSlot(slots, "a"), HeldSlot(slots, "a")
    assert slots.room("a", 2) == 0
    first.leave()
    first.leave()
    assert (slots.room("a", 2), slots.used("a"), slots.finishing("a"), freed) == (1, 1, 1, 1)
    first.end()
    assert (slots.used("a"), slots.finishing("a"), freed) == (1, 0, 2)
    second.end()
    assert (slots.room("a", 2), slots.finishing("a"), slots.free, freed) == (2, 0, 10, 3)


class Gate:
    """A link that notes who came, and lets nobody through while it is shut."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.came: list[str] = []

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        self.came.append(vcon.uuid)
        await self.open.wait()
        return CONTINUE


def chain_of(link: Callable[[Vcon, LinkRun], Awaitable[Outcome]], concurrency: int) -> Chain:
    a = step("a", link)
    return Chain("main", (a,), lists=("in",), egress=("out",), concurrency=concurrency)


async def fill(it: Site, count: int) -> list[str]:
    return [uuid for _ in range(count) for uuid in await it.submit(vcon())]


async def pending(it: Site) -> int:
    return (await it.backend.stream.depth(["in"]))["in"].pending


async def test_a_slow_chain_leaves_to_others_what_it_has_no_slot_for(redis_url: str) -> None:
    gate = Gate()
    async with site(redis_url, chain_of(gate, CONCURRENCY)) as it:
        uuids = await fill(it, 3 * CONCURRENCY)
        await until(lambda: len(gate.came) == CONCURRENCY)
        await asyncio.sleep(2 * WINDOW)
        assert await pending(it) == CONCURRENCY
        gate.open.set()
        await it.settled()
        assert sorted(await it.popped()) == sorted(uuids)


async def quick(it: Site, gate: Gate, count: int) -> list[str]:
    """Have a chain run until it reads ahead, then shut the gate: what it has read by then stays."""
    uuids = await fill(it, count)
    consumer = it.replica.consumer
    await it.replica.start()
    seen = 0
    while not consumer.expecting("main"):
        gate.open.set()
        seen += 100
        assert seen < count, "nothing was ever read ahead"
        await until(lambda: len(gate.came) >= seen)
        gate.open.clear()
        await asyncio.sleep(WINDOW / 2)
    assert consumer.expecting("main") <= CONCURRENCY
    return uuids


@pytest.mark.parametrize("concurrency", [1, CONCURRENCY])
async def test_a_quick_chain_begins_in_order_what_it_has_read_ahead(
    redis_url: str, concurrency: int
) -> None:
    gate = Gate()
    async with site(redis_url, chain_of(gate, concurrency), start=False) as it:
        uuids = await quick(it, gate, 900)
        await asyncio.sleep(2 * WINDOW)
        assert await pending(it) <= 3 * concurrency
        gate.open.set()
        await it.settled()
        assert gate.came == uuids
        popped = await it.popped()
        # One at a time, they leave in order too.
        assert (popped if concurrency == 1 else sorted(popped)) == uuids
        assert it.replica.consumer.expecting("main") == 0


async def test_what_was_read_ahead_goes_to_others_at_the_end(redis_url: str) -> None:
    """At once: the lease is far longer than the test. And none of it counts as crashed."""
    gate = Gate()
    async with site(redis_url, chain_of(gate, CONCURRENCY), start=False, grace=0.1) as it:
        uuids = await quick(it, gate, 900)
        assert it.replica.consumer.expecting("main") > 0
        await it.replica.stop()
        assert await pending(it) > CONCURRENCY
        rest = Gate()
        rest.open.set()
        async with site(redis_url, chain_of(rest, CONCURRENCY), name="two") as other:
            while await other.backend.stream.left(["in"]):
                await other.replica._leases.take_over()
            await other.settled()
            popped = await other.popped()
    assert sorted(popped) == sorted(uuids)
    assert await it_is_without_dead(redis_url)


async def it_is_without_dead(redis_url: str) -> bool:
    async with site(redis_url, start=False, name="three") as it:
        return await it.dead() == []
