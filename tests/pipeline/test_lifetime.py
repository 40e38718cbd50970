"""How long a document stays in Redis: as long as something needs it, and not longer."""

import asyncio

import pytest
from cuts_support import open_work
from pipeline_support import Site, site, step, unit, vcon
from stops_support import Stop, StoppingStorage

from vconflow.errors import Permanent
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.ports.link import CONTINUE, Halt, LinkRun, Outcome, Replace
from vconflow.testing.memory_storage import MemoryStorage

FOR_EVER = -1


async def time_left(it: Site, uuid: str) -> int:
    """Milliseconds until the document expires; `FOR_EVER` when it does not, -2 when it has."""
    client = it.backend.connections.commands
    return int(await client.execute_command("PTTL", f"vcon:{uuid}"))


async def assert_expires(it: Site, uuid: str) -> None:
    """It leaves Redis soon, and is found in its storage all the same."""
    assert await time_left(it, uuid) <= 1000
    async with asyncio.timeout(20):
        while (left := await time_left(it, uuid)) != -2:
            assert left != FOR_EVER
            await asyncio.sleep(0.05)
    assert await it.lookup.get(uuid) == it.memory["s"].vcons[uuid].document


def stored_by(*chains: Chain) -> tuple[Chain, ...]:
    return (*chains, Chain("quick", (step("a"),), ("s",), ("quick",), egress=("out",)))


@pytest.mark.parametrize("stage", ["link", "link retry", "storing", "storage retry", "stored"])
async def test_a_list_or_a_retry_needs_it(redis_url: str, stage: str) -> None:
    """One chain has stored it and is through, another one is not."""
    stop = Stop(stage)
    slow = Chain("slow", (step("ours", stop.link),), ("s", "stops"), ("in",))
    storages = {"s": unit("s", MemoryStorage()), "stops": unit("stops", StoppingStorage(stop))}
    async with site(redis_url, *stored_by(slow), storages=storages, document_ttl=1) as it:
        uuid = (await it.ingest.accept(vcon(), ("in", "quick"))).uuid
        await stop.reached.wait()
        await it.settled("quick")
        assert await time_left(it, uuid) == FOR_EVER
        stop.go.set()
        await it.settled("in", "quick")
        await assert_expires(it, uuid)


async def test_what_waits_on_a_list_is_kept(redis_url: str) -> None:
    """Also what was about to expire when it was put there."""
    held = Chain("held", lists=("in",), held="not read here")
    storages = {"s": unit("s", MemoryStorage())}
    async with site(redis_url, *stored_by(held), storages=storages, document_ttl=100) as it:
        document = vcon()
        (uuid,) = await it.submit(document, to="quick")
        await it.settled("quick")
        assert 0 < await time_left(it, uuid) <= 100_000
        await it.ingest.enqueue([uuid], "in")
        assert await time_left(it, uuid) == FOR_EVER
        (other,) = await it.submit(vcon(), to="quick")
        await it.settled("quick")
        assert 0 < await time_left(it, other) <= 100_000
        await it.ingest.accept(vcon(other), ("in",))
        assert await time_left(it, other) == FOR_EVER


@pytest.mark.parametrize("end", ["replay", "expiry"])
@pytest.mark.parametrize("first", ["dies", "lives"])
async def test_a_dead_letter_needs_it(redis_url: str, first: str, end: str) -> None:
    """Whichever chain was the first to end, the one that stored it or the one that failed."""
    healthy, go = False, {"dies": asyncio.Event(), "lives": asyncio.Event()}

    async def fail(vcon: Vcon, run: LinkRun) -> Outcome:
        await go["dies"].wait()
        if healthy:
            return CONTINUE
        raise Permanent("never")

    async def work(vcon: Vcon, run: LinkRun) -> Outcome:
        await go["lives"].wait()
        vcon.add_tag("worked", "x")
        return CONTINUE

    dies = Chain("dies", (step("f", fail),), ("s",), ("dies",))
    lives = Chain("lives", (step("w", work),), ("s",), ("lives",))
    storages = {"s": unit("s", MemoryStorage())}
    async with site(redis_url, dies, lives, storages=storages, document_ttl=1) as it:
        uuid = (await it.ingest.accept(vcon(), ("dies", "lives"))).uuid
        for name in sorted(go, key=lambda name: name != first):
            go[name].set()
            await it.settled(name)
            assert await time_left(it, uuid) == FOR_EVER
        client = it.backend.connections.commands
        assert await open_work(client, uuid) == (1, 0)
        healthy = True
        (letter,) = await it.dead("dies")
        if end == "replay":
            await it.backend.dead_letters.replay("dies", [letter.id])
            await it.settled("dies")
        else:
            assert await it.backend.dead_letters.expire("dies", 1 << 50, 10) == 1
        assert await open_work(client, uuid) == (0, 0)
        await assert_expires(it, uuid)
        assert Vcon(await it.lookup.get(uuid) or b"").tags == ["worked:x"]


async def test_without_a_storage_redis_keeps_it(redis_url: str) -> None:
    """And an egress list holds nothing back that a storage has."""
    bare = Chain("bare", (step("a"),), lists=("in",), egress=("out",))
    storages = {"s": unit("s", MemoryStorage())}
    async with site(redis_url, *stored_by(bare), storages=storages, document_ttl=1) as it:
        (kept,) = await it.submit(vcon())
        (stored,) = await it.submit(vcon(), to="quick")
        await it.settled("in", "quick")
        await assert_expires(it, stored)
        assert await time_left(it, kept) == FOR_EVER
        assert await it.lookup.get(kept) is not None
        assert set(await it.popped()) == {kept, stored}
        assert await time_left(it, kept) == FOR_EVER


async def test_a_link_that_lets_it_expire_waits_for_the_others(redis_url: str) -> None:
    stop = Stop("link")

    async def brief(vcon: Vcon, run: LinkRun) -> Outcome:
        run.expire(1)
        return Halt("enough")

    short = Chain("short", (step("brief", brief),), lists=("in",))
    slow = Chain("slow", (step("ours", stop.link),), ("s",), ("more",))
    storages = {"s": unit("s", MemoryStorage())}
    async with site(redis_url, short, slow, storages=storages) as it:
        uuid = (await it.ingest.accept(vcon(), ("in", "more"))).uuid
        await it.settled("in")
        await stop.reached.wait()
        assert await time_left(it, uuid) == FOR_EVER
        stop.go.set()
        await it.settled("in", "more")
        await assert_expires(it, uuid)


async def test_a_vcon_that_was_replaced_expires_too(redis_url: str) -> None:
    other = vcon(subject="the other one")

    async def replace(vcon: Vcon, run: LinkRun) -> Outcome:
        return Replace(Vcon(other).uuid)

    swap = Chain("swap", (step("swap", replace),), ("s",), ("in",))
    storages = {"s": unit("s", MemoryStorage())}
    async with site(redis_url, *stored_by(swap), storages=storages, document_ttl=1) as it:
        await it.ingest.save(other)
        (uuid,) = await it.submit(vcon(), to="quick")
        await it.settled("quick")
        await it.ingest.enqueue([uuid], "in")
        assert await time_left(it, uuid) == FOR_EVER
        await it.settled()
        await assert_expires(it, uuid)
        await assert_expires(it, Vcon(other).uuid)
