"""Chains that somebody pauses."""

import asyncio

import pytest
from pipeline_support import until, vcon
from reload_parts import WORLD
from reload_support import all_of, chain, configured, link, running

from vconflow.errors import NotFound

GATED = configured({"mark": link(gate=True)})


@pytest.fixture(autouse=True)
def _world() -> None:
    WORLD.reset()


async def nothing_is_read(seconds: float = 0.1) -> None:
    before = len(WORLD.calls)
    await asyncio.sleep(seconds)
    assert len(WORLD.calls) == before


async def test_a_paused_chain_finishes_what_it_began_and_reads_nothing(valkey_url: str) -> None:
    async with running(valkey_url, GATED) as one:
        begun = await one.submit(vcon())
        await until(lambda: WORLD.at_gate == 1)
        await one.site.pause("main")
        later = await one.submit(vcon(), vcon())
        await nothing_is_read()
        WORLD.gate.set()
        assert await all_of(one, 1) == begun
        status = await one.site.chain("main")
        assert (status.paused, status.depth, status.pending) == (True, 2, 0)
        await one.site.resume("main")
        assert sorted(await all_of(one, 2)) == sorted(later)
        assert not (await one.site.chain("main")).paused


async def test_another_chain_goes_on(valkey_url: str) -> None:
    config = configured(main=chain(), other=chain(lists=["more"]))
    async with running(valkey_url, config) as one:
        await one.site.pause("main")
        [waits] = await one.submit(vcon())
        [runs] = await one.submit(vcon(), to="more")
        assert await all_of(one, 1) == [runs]
        await one.site.resume("main")
        assert await all_of(one, 1) == [waits]


async def test_it_holds_for_every_replica(valkey_url: str) -> None:
    async with (
        running(valkey_url, configured()) as one,
        running(valkey_url, configured(), name="two") as two,
    ):
        await one.site.pause("main")
        await until(lambda: "main" in two.replica.pauses.names)
        await two.site.pause("main")  # changes nothing, and returns when its last read has ended
        uuids = await two.submit(*(vcon() for _ in range(10)))
        await nothing_is_read()
        await two.site.resume("main")
        assert sorted(await all_of(one, 10)) == sorted(uuids)
        await until(lambda: "main" not in one.replica.pauses.names)


async def test_what_a_dead_replica_left_waits_too(valkey_url: str) -> None:
    async with running(valkey_url, configured(main=chain(lists=["more"])), lease=1.0) as one:
        async with running(valkey_url, GATED, name="two", lease=1.0, grace=0.1) as two:
            uuids = await two.submit(vcon())
            await until(lambda: WORLD.at_gate == 1)
            await two.site.pause("main")
        await one.site.apply(configured())
        await nothing_is_read(1.0)
        await one.site.resume("main")
        assert await all_of(one, 1) == uuids


async def test_it_survives_a_restart_and_a_change(valkey_url: str) -> None:
    async with running(valkey_url, configured()) as one:
        await one.site.pause("main")
    async with running(valkey_url, configured()) as one:
        uuids = await one.submit(vcon())
        await nothing_is_read()
        await one.site.apply(configured({"mark": link("new")}))
        await nothing_is_read()
        assert (await one.site.chain("main")).paused
        await one.site.resume("main")
        assert await all_of(one, 1) == uuids


async def test_a_lost_announcement_does_not_matter(valkey_url: str) -> None:
    async with (
        running(valkey_url, configured()) as one,
        running(valkey_url, configured(), name="two", hears=False) as two,
    ):
        await one.site.pause("main")
        await until(lambda: "main" in two.replica.pauses.names)
        await one.site.resume("main")
        await until(lambda: "main" not in two.replica.pauses.names)


async def test_a_chain_that_does_not_exist_cannot_be_paused(valkey_url: str) -> None:
    async with running(valkey_url, configured()) as one:
        with pytest.raises(NotFound):
            await one.site.pause("nonsense")
        with pytest.raises(NotFound):
            await one.site.chain("nonsense")


async def test_chains_are_shown_as_they_are(valkey_url: str) -> None:
    config = configured(main=chain(lists=["in", "more"]), off=chain(lists=["never"], enabled=False))
    async with running(valkey_url, config) as one:
        await one.site.pause("main")
        await one.submit(vcon(), vcon())
        await one.submit(vcon(), to="more")
        main, off = await one.site.chains()
        assert (main.name, main.enabled, main.paused, main.depth) == ("main", True, True, 3)
        assert [(it.name, it.module) for it in main.links] == [("mark", "reload_parts:Mark")]
        assert (main.storages, main.ingress_lists, main.egress_lists) == (
            ("shelf",),
            ("in", "more"),
            ("out",),
        )
        assert {name: it.depth for name, it in main.lists.items()} == {"in": 2, "more": 1}
        assert main.oldest_seconds == main.lists["in"].oldest_seconds >= 0
        assert (main.pending, main.in_flight, main.retrying, main.dead, main.rate) == (0,) * 5
        assert (off.name, off.enabled, off.depth) == ("off", False, 0)
        assert main.replica == one.backend.stream.consumer
        await one.site.resume("main")
        await all_of(one, 3)
        main, _ = await one.site.chains()
        assert main.rate > 0
