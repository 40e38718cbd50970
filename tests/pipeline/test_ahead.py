"""Reading ahead: a quick chain gets more entries than it may work on, a slow one never."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from pipeline_support import Crowd, Site, site, step, until, vcon

from vconflow.model.entry import Entry
from vconflow.model.vcon import Vcon
from vconflow.pipeline.ahead import MOST, WINDOW, Ahead, Pace
from vconflow.pipeline.chain import Chain
from vconflow.pipeline.slots import HeldSlot, Slots
from vconflow.ports.documents import Document
from vconflow.ports.ledger import Commit, CommitResult
from vconflow.ports.link import CONTINUE, LinkRun, Outcome

CONCURRENCY = 8


def test_the_pace_is_that_of_the_last_full_window() -> None:
    now, done = 100.0, {"a": 7, "b": 0}
    pace = Pace(lambda chain: done[chain], lambda: now, window=1.0)
    assert (pace.of("a"), pace.of("b")) == (0, 0)
    done["a"] += 5
    assert pace.of("a") == 0
    now += 1.0
    assert pace.of("a") == 5
    done["a"] += 1
    assert pace.of("a") == 5
    now += 1.5
    assert (pace.of("a"), pace.of("b")) == (1, 0)
    # Nobody asked for so long that it may have been long ago.
    done["a"] += 1
    now += 2.0
    assert pace.of("a") == 0
    done["a"] += 3
    now += 1.0
    assert pace.of("a") == 3


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
    first.come_back()
    assert (slots.used("a"), slots.finishing("a")) == (2, 0)
    first.leave()
    first.end()
    first.end()
    assert (slots.used("a"), slots.finishing("a"), freed) == (1, 0, 3)
    second.end()
    assert (slots.room("a", 2), slots.finishing("a"), slots.free, freed) == (2, 0, 10, 4)


def test_who_may_not_leave_keeps_its_slot_to_the_end() -> None:
    slots = Slots(10, lambda: None)
    slots.take("a")
    slot = HeldSlot(slots, "a", may_leave=False)
    slot.leave()
    assert slots.used("a") == 1
    slot.end()
    assert slots.used("a") == 0


def test_a_document_that_waits_is_forgotten_and_its_entry_is_not() -> None:
    now = 100.0
    ahead = Ahead(lambda: now)
    document = Document(b"{}", 1)
    entries = [Entry(f"1-{number}", "in", "u", 1) for number in range(2)]
    ahead.add("a", entries[0], document)
    now += 2.0
    ahead.add("a", entries[1], document)
    assert [ahead.take("a"), ahead.take("a")] == [(entries[0], None), (entries[1], document)]
    assert not ahead.has("a")


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
        await until(lambda wanted=seen: len(gate.came) >= wanted)
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


async def test_every_slot_is_used_whatever_the_size_of_reads(redis_url: str) -> None:
    gate = Gate()
    async with site(redis_url, chain_of(gate, 150), start=False, grace=0.1) as it:
        await fill(it, 200)
        await it.replica.start()
        await until(lambda: len(gate.came) == 150)


async def test_a_paused_chain_begins_nothing_that_it_has_read_ahead(redis_url: str) -> None:
    gate = Gate()
    async with site(redis_url, chain_of(gate, CONCURRENCY), start=False) as it:
        uuids = await quick(it, gate, 900)
        before, ahead = len(gate.came), it.replica.consumer.expecting("main")
        it.replica._paused(frozenset({"main"}))
        await it.replica._reader.come_round()
        gate.open.set()
        await asyncio.sleep(4 * WINDOW)
        assert (len(gate.came), it.replica.consumer.expecting("main")) == (before, ahead)
        it.replica._paused(frozenset())
        await it.settled()
        assert gate.came == uuids


@pytest.mark.parametrize("lists", [1, 2, 40])
async def test_where_there_is_no_room_at_all_nothing_is_read(redis_url: str, lists: int) -> None:
    """One chain has all slots, and all that may be read ahead; another was quick a moment ago."""
    gate = Gate()
    names = tuple(f"b{number}" for number in range(lists))
    one = Chain("one", (step("a", gate),), lists=("a",), concurrency=2)
    two = Chain("two", (step("b", gate),), lists=names, concurrency=2)
    async with site(redis_url, one, two, start=False, max_inflight=4, grace=0.1) as it:
        consumer = it.replica.consumer
        await it.submit(*(vcon() for _ in range(50)), to="b0")
        for _ in range(4):
            consumer._slots.take("one")
        for number in range(MOST):
            consumer._owned.expect(("a", f"1-{number}"), "one")
        consumer._pace.of = lambda chain: 20  # type: ignore[method-assign]
        assert consumer.free == 0
        await it.replica.start()
        await asyncio.sleep(4 * WINDOW)
        assert (await it.backend.stream.depth(["b0"]))["b0"].pending == 0
        for number in range(MOST):
            consumer._owned.stop_expecting(("a", f"1-{number}"))
        for _ in range(4):
            consumer._slots.release("one")
        await until(lambda: len(gate.came) == 2)


async def test_where_slots_are_short_each_chain_gets_some(redis_url: str) -> None:
    done = 0
    begun: list[int] = []

    async def busy(vcon: Vcon, run: LinkRun) -> Outcome:
        nonlocal done
        await asyncio.sleep(0.002)
        done += 1
        return CONTINUE

    async def rare(vcon: Vcon, run: LinkRun) -> Outcome:
        begun.append(done)
        return CONTINUE

    one = Chain("one", (step("a", busy),), lists=("a",), concurrency=64)
    two = Chain("two", (step("b", rare),), lists=("b",), concurrency=64)
    async with site(redis_url, one, two, start=False, max_inflight=8) as it:
        for _ in range(10):
            await it.submit(*(vcon() for _ in range(200)), to="a")
        await it.replica.start()
        await until(lambda: done > 200)
        await it.submit(*(vcon() for _ in range(5)), to="b")
        await it.settled("a", "b")
        assert len(begun) == 5
        assert max(begun) < 1500


async def test_links_that_run_again_count_among_their_chain(redis_url: str) -> None:
    """The last commit is refused, since somebody changed the vCon: its links run again."""
    crowd, refused = Crowd(), 0
    attachments = [{"type": "x", "body": "1", "encoding": "none"}]
    async with site(redis_url, chain_of(crowd, 2)) as it:
        commits = it.replica._commits._commits
        flush = commits._flush

        async def interfere(batch: Sequence[Commit]) -> Sequence[CommitResult | Exception]:
            nonlocal refused
            for commit in batch:
                if commit.document is not None and refused < 6:
                    refused += 1
                    await it.ingest.accept(vcon(commit.uuid, attachments=[]), ())
            return await flush(batch)

        commits._flush = interfere
        await it.submit(*(vcon(attachments=attachments) for _ in range(12)))
        await it.settled()
        assert refused == 6
        # Taking a slot again goes beyond the limit; nobody new begins until there is room.
        assert crowd.most <= 4
