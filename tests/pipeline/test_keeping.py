"""A link that pays several times has each result written before the next: `LinkRun.keep`."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from cuts_support import assert_delivered, open_lane, open_work
from pipeline_support import LinkFunction, site, step, unit, until, vcon
from redis.asyncio import Redis
from stops_support import change

from vconflow.errors import Permanent, Retryable, Unavailable
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.testing.memory_storage import MemoryStorage
from vconflow.testing.tcp_proxy import Direction

GOODS = ("a", "b", "c")
TAGS = [f"{name}:x" for name in GOODS]


@dataclass
class Shop:
    """A link that buys three tags, but none that the vCon has; at `trouble` something happens."""

    trouble: str = ""
    times: int = 1
    bought: Counter[str] = field(default_factory=Counter)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def dying(self, vcon: Vcon, run: LinkRun) -> Outcome:
        """End like the process at `trouble`, after it was bought and before it is kept."""

        async def die() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

        return await self._buy(vcon, run, die)

    async def failing(self, vcon: Vcon, run: LinkRun) -> Outcome:
        """Fail at `trouble`."""

        async def fail() -> None:
            raise Retryable("sold out")

        return await self._buy(vcon, run, fail)

    async def waiting(self, vcon: Vcon, run: LinkRun) -> Outcome:
        """Stop at `trouble` until `go_on`."""

        async def wait() -> None:
            self.reached.set()
            await self.go_on.wait()

        return await self._buy(vcon, run, wait)

    async def _buy(
        self, vcon: Vcon, run: LinkRun, trouble: Callable[[], Awaitable[None]]
    ) -> Outcome:
        for name in GOODS:
            if vcon.get_tag(name):
                continue
            self.bought[name] += 1
            if name == self.trouble and self.times:
                self.times -= 1
                await trouble()
            vcon.add_tag(name, "x")
            await run.keep()
        return CONTINUE


def chain_of(link: LinkFunction, *storages: str) -> Chain:
    return Chain("main", (step("shop", link, paid=True),), storages, ("in",), egress=("out",))


@pytest.mark.parametrize("trouble", GOODS)
async def test_a_crash_repeats_what_was_not_kept(valkey_url: str, trouble: str) -> None:
    shop = Shop(trouble)
    storage = MemoryStorage()
    units = {"s": unit("s", storage)}
    async with site(valkey_url, chain_of(shop.dying, "s"), storages=units, lease=0.3) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled()
        assert await it.popped() == [uuid]
        assert shop.bought == Counter(GOODS) + Counter([trouble])
        assert Vcon(storage.vcons[uuid].document).tags == TAGS


async def test_what_is_kept_outlives_a_failure(valkey_url: str) -> None:
    shop = Shop("c")
    async with site(valkey_url, chain_of(shop.failing)) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled()
        assert await it.popped() == [uuid]
        assert shop.bought == Counter("abcc")
        assert Vcon(await it.lookup.get(uuid) or b"").tags == TAGS


async def test_a_dead_letter_keeps_what_was_paid_for(valkey_url: str) -> None:
    shop = Shop("b", times=1000)
    async with site(valkey_url, chain_of(shop.failing)) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled()
        (letter,) = await it.dead()
        assert (letter.stage, letter.progress.next_link) == ("link:shop", "shop")
        assert shop.bought == {"a": 1, "b": 3}
        assert Vcon(await it.lookup.get(uuid) or b"").tags == ["a:x"]


@pytest.mark.parametrize("at", GOODS)
async def test_others_change_the_vcon_meanwhile(valkey_url: str, at: str) -> None:
    shop = Shop(at)
    storage = MemoryStorage()
    units = {"s": unit("s", storage)}
    async with site(valkey_url, chain_of(shop.waiting, "s"), storages=units) as it:
        (uuid,) = await it.submit(vcon())
        await shop.reached.wait()
        await change(it, uuid, "theirs")
        shop.go_on.set()
        await it.settled()
        current = await it.lookup.get(uuid) or b""
        assert Counter(Vcon(current).tags) == Counter([*TAGS, "theirs:x"])
        assert storage.vcons[uuid].document == current
        assert shop.bought == Counter(GOODS)


async def test_a_vcon_that_is_deleted_meanwhile(valkey_url: str) -> None:
    shop = Shop("b")
    async with site(valkey_url, chain_of(shop.waiting)) as it:
        (uuid,) = await it.submit(vcon())
        await shop.reached.wait()
        await it.lookup.delete(uuid)
        shop.go_on.set()
        await it.settled()
        assert await it.lookup.get(uuid) is None
        assert (await it.dead(), await it.popped()) == ([], [])
        assert shop.bought == {"a": 1, "b": 1}


async def test_an_entry_that_is_lost_meanwhile_is_not_written(valkey_url: str) -> None:
    shop, seen = Shop("b"), list[Exception]()

    async def link(vcon: Vcon, run: LinkRun) -> Outcome:
        try:
            return await shop.waiting(vcon, run)
        except Unavailable as error:
            seen.append(error)
            raise

    async with site(valkey_url, chain_of(link)) as it, Redis.from_url(valkey_url) as client:
        (uuid,) = await it.submit(vcon())
        await shop.reached.wait()
        before = await it.lookup.get(uuid)
        key = "vconflow:list:in"
        ((entry, _),) = await client.xrange(key)
        await client.xclaim(key, "vconflow", "another", 0, [entry])
        shop.go_on.set()
        await until(lambda: seen and not it.replica.consumer.owned())
        assert await it.lookup.get(uuid) == before
        assert shop.bought == {"a": 1, "b": 1}


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
async def test_the_connection_is_cut_at_each_keep(
    redis_url: str, direction: Direction, at: float
) -> None:
    shop = Shop()

    def chain(number: int) -> Chain:
        return Chain(
            "main",
            (step("shop", shop.waiting, paid=True),),
            lists=(f"in{number}",),
            egress=("out",),
        )

    async with open_lane(redis_url, chain) as lane:
        cuts = [lane.cut("commit defer document", direction, at) for _ in GOODS]
        uuid = await lane.submit(vcon())
        await lane.idle()
        assert all(cut.done for cut in cuts)
        assert shop.bought == Counter(GOODS)
        await assert_delivered(lane.client, [uuid], [lane.list], TAGS)


async def test_a_link_that_runs_out_of_time_while_it_is_kept(valkey_url: str) -> None:
    """What became of the commit is known before the failure is: nothing is there twice."""
    calls = 0

    async def link(vcon: Vcon, run: LinkRun) -> Outcome:
        nonlocal calls
        calls += 1
        if calls == 1:
            vcon.add_tag("a", "x")
            async with asyncio.timeout(0):
                await run.keep()
        return CONTINUE

    async with site(valkey_url, chain_of(link)) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled()
        assert (calls, await it.popped()) == (2, [uuid])
        assert Vcon(await it.lookup.get(uuid) or b"").tags == ["a:x"]
        assert await open_work(it.backend.connections.commands, uuid) == (0, 0)


async def test_many_results_at_the_same_time(valkey_url: str) -> None:
    async def link(vcon: Vcon, run: LinkRun) -> Outcome:
        async def buy(number: int) -> None:
            await asyncio.sleep(0)
            vcon.add_tag(str(number), "x")
            await run.keep()

        await asyncio.gather(*map(buy, range(50)))
        return CONTINUE

    async with site(valkey_url, chain_of(link)) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled()
        assert await it.popped() == [uuid]
        tags = Vcon(await it.lookup.get(uuid) or b"").tags
        assert sorted(tags) == sorted(f"{number}:x" for number in range(50))


async def test_a_link_that_is_not_paid_keeps_nothing_early(valkey_url: str) -> None:
    found: list[bytes | None] = []

    async def link(vcon: Vcon, run: LinkRun) -> Outcome:
        vcon.add_tag("a", "x")
        await run.keep()
        found.append(await it.lookup.get(vcon.uuid))
        return CONTINUE

    chain = Chain("main", (step("free", link),), lists=("in",))
    async with site(valkey_url, chain) as it:
        document = vcon()
        await it.submit(document)
        await it.settled()
        assert found == [document]


async def test_what_a_link_left_behind_keeps_nothing(valkey_url: str) -> None:
    """Else half of what the next link does would be kept, though that fails."""
    late: list[Exception] = []
    tasks: list[asyncio.Task[None]] = []
    changed = asyncio.Event()

    async def first(vcon: Vcon, run: LinkRun) -> Outcome:
        async def linger() -> None:
            await changed.wait()
            try:
                await run.keep()
            except RuntimeError as error:
                late.append(error)

        tasks.append(asyncio.create_task(linger()))
        return CONTINUE

    async def second(vcon: Vcon, run: LinkRun) -> Outcome:
        vcon.add_tag("half", "x")
        changed.set()
        await asyncio.gather(*tasks)
        raise Permanent("no")

    steps = (step("first", first, paid=True), step("second", second))
    async with site(valkey_url, Chain("main", steps, lists=("in",))) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled()
        assert len(await it.dead()) == 1
        assert Vcon(await it.lookup.get(uuid) or b"").tags == []
        assert len(late) == 1
