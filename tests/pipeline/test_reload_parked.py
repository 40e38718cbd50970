"""What is parked goes on when another configuration takes away what it waits for."""

import asyncio

import pytest
from pipeline_support import until, vcon
from reload_parts import WORLD
from reload_support import all_of, chain, configured, link, running, shelf


@pytest.fixture(autouse=True)
def _world() -> None:
    WORLD.reset()


GOOD_AND_DOWN = {"good": shelf("good"), "down": shelf("down", down=True)}


async def test_a_storage_that_left_the_chain_only(valkey_url: str) -> None:
    before = configured(None, GOOD_AND_DOWN, main=chain(storages=["good", "down"]))
    after = configured(None, GOOD_AND_DOWN, main=chain(storages=["good"]))
    async with running(valkey_url, before, longest_probe=0.2) as one:
        uuids = await one.submit(vcon(), vcon(), vcon())
        await until(lambda: one.replica.consumer.waiting("main") == 3)
        await one.site.apply(after)
        assert sorted(await all_of(one, 3)) == sorted(uuids)
        await one.settled()


async def test_a_link_that_another_chain_still_has(valkey_url: str) -> None:
    links = {"mark": link(), "slow": link(seconds=5) | {"timeout": 0.05}}
    other = chain(["slow"], lists=["else"])
    before = configured(links, main=chain(["slow"]), other=other)
    after = configured(links, main=chain(["mark"]), other=other)
    async with running(valkey_url, before, longest_probe=3000.0) as one:
        uuids = await one.submit(*(vcon() for _ in range(12)))
        await until(lambda: one.replica.consumer.waiting("main") == len(uuids))
        await one.site.apply(after)
        assert sorted(await all_of(one, len(uuids))) == sorted(uuids)
        await one.settled("in")


async def test_a_storage_that_had_asked_for_a_pause_and_is_another_one_now(valkey_url: str) -> None:
    before = configured(None, {"shelf": shelf("down", down=True, pause=600)})
    after = configured(None, {"shelf": shelf("new")})
    async with running(valkey_url, before) as one:
        one.breakers.of("storage:shelf").failures = 4
        [uuid] = await one.submit(vcon())
        await until(lambda: one.replica.consumer.waiting("main") == 1)
        await one.site.apply(after)
        assert await all_of(one, 1) == [uuid]


async def test_an_attempt_that_ends_after_the_change(valkey_url: str) -> None:
    links = {"mark": link(gate=True)}
    before = configured(links, GOOD_AND_DOWN, main=chain(storages=["good", "down"]))
    after = configured(links, GOOD_AND_DOWN, main=chain(storages=["good"]))
    async with running(valkey_url, before, longest_probe=0.2) as one:
        one.breakers.of("storage:down").trip()
        [uuid] = await one.submit(vcon())
        await until(lambda: WORLD.at_gate)
        await one.site.apply(after)
        WORLD.gate.set()
        assert await all_of(one, 1) == [uuid]


async def test_what_is_still_needed_is_waited_for(valkey_url: str) -> None:
    before = configured(None, GOOD_AND_DOWN, main=chain(storages=["good", "down"]))
    after = configured(None, GOOD_AND_DOWN, main=chain(storages=["down"]))
    async with running(valkey_url, before, longest_probe=3000.0) as one:
        await one.submit(vcon())
        await until(lambda: one.replica.consumer.waiting("main") == 1)
        await one.site.apply(after)
        await asyncio.sleep(0.1)
        assert one.replica.consumer.waiting("main") == 1
        assert not await one.popped()
