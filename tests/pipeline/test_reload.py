"""Another configuration while vCons are under way."""

import asyncio

import pytest
from pipeline_support import until, vcon
from reload_parts import WORLD
from reload_support import SLOW, all_of, chain, configured, link, running, shelf

from vconflow.errors import ConfigError, NotFound
from vconflow.pipeline.slots import Slots
from vconflow.telemetry.metrics import render


@pytest.fixture(autouse=True)
def _world() -> None:
    WORLD.reset()


async def test_what_comes_later_goes_by_the_new_configuration(valkey_url: str) -> None:
    async with running(valkey_url, configured({"mark": link("old")})) as one:
        [first] = await one.submit(vcon())
        await one.settled()
        await one.site.apply(configured({"mark": link("new")}))
        [second] = await one.submit(vcon())
        await one.settled()
        assert await one.tags(first) == {"mark": "old"}
        assert await one.tags(second) == {"mark": "new"}


async def test_an_attempt_under_way_ends_as_it_began(valkey_url: str) -> None:
    before = configured(
        {"first": link("old", gate=True), "second": link("old")},
        {"shelf": shelf("old")},
        main=chain(["first", "second"]),
    )
    after = configured(
        {"first": link("new"), "second": link("new")},
        {"shelf": shelf("new")},
        main=chain(["first", "second"]),
    )
    async with running(valkey_url, before) as one:
        [begun] = await one.submit(vcon())
        await until(lambda: WORLD.at_gate)
        await one.site.apply(after)
        [later] = await one.submit(vcon())
        await until(lambda: later in WORLD.shelves["new"])
        # The old ones are open for as long as they are needed, and no longer.
        assert WORLD.still_open()["first=old"] == WORLD.still_open()["shelf:old"] == 1
        WORLD.gate.set()
        await one.settled()
        assert await one.tags(begun) == {"first": "old", "second": "old"}
        assert set(WORLD.shelves["old"]) == {begun}
        assert set(WORLD.shelves["new"]) == {later}
        await until(lambda: not WORLD.still_open()["shelf:old"])
        assert set(one.pool.open) == {"links.first", "links.second", "storages.shelf"}
        assert sorted(await all_of(one, 2)) == sorted([begun, later])


async def test_what_stays_as_it_was_is_not_opened_again(valkey_url: str) -> None:
    async with running(valkey_url, configured({"mark": link("a")})) as one:
        writers = list(one.replica.fanout.writers)
        for value in "bcd":
            await one.site.apply(configured({"mark": link(value)}))
            await one.submit(vcon())
            await one.settled()
        assert WORLD.opened["shelf:main"] == 1
        assert list(one.replica.fanout.writers) == writers
        await until(lambda: WORLD.still_open() == {"shelf:main": 1, "mark=d": 1})


async def test_another_batch_size_needs_no_new_storage_either(valkey_url: str) -> None:
    async with running(valkey_url, configured()) as one:
        await one.site.apply(configured(storages={"shelf": shelf() | {"batch": 7, "timeout": 5}}))
        [writer] = one.replica.fanout.writers
        assert (writer.unit.max_items, writer.unit.timeout) == (7, 5)
        assert WORLD.opened["shelf:main"] == 1


async def test_one_that_cannot_be_opened_changes_nothing(valkey_url: str) -> None:
    async with running(valkey_url, configured({"mark": link("old")})) as one:
        config, opened = one.site.config, sorted(one.pool.open)
        told: list[object] = []
        one.site.on_applied.append(told.append)
        broken = configured(
            {"mark": link("new"), "bad": {"module": "reload_parts:Broken"}},
            {"shelf": shelf("new")},
            main=chain(["mark", "bad"], lists=["other"]),
        )
        with pytest.raises(ConfigError, match=r"links\.bad.*no such device"):
            await one.site.apply(broken)
        assert one.site.config is config
        assert sorted(one.pool.open) == opened
        assert WORLD.still_open() == {"shelf:main": 1, "mark=old": 1}
        assert not told
        [uuid] = await one.submit(vcon())
        await one.settled()
        assert await one.tags(uuid) == {"mark": "old"}
        with pytest.raises(NotFound):
            await one.submit(vcon(), to="other")


async def test_two_changes_at_once_take_turns(valkey_url: str) -> None:
    async with running(valkey_url, configured()) as one:
        told: list[object] = []
        one.site.on_applied.append(told.append)
        configs = [configured({"mark": link(str(number))}) for number in range(5)]
        await asyncio.gather(*map(one.site.apply, configs))
        assert told == configs
        assert one.site.config is configs[-1]
        await until(lambda: WORLD.still_open() == {"shelf:main": 1, "mark=4": 1})


async def test_a_change_goes_through_though_whoever_wanted_it_is_gone(valkey_url: str) -> None:
    async with running(valkey_url, configured()) as one:
        config = configured({"mark": link("new")})
        wanting = asyncio.create_task(one.site.apply(config))
        await asyncio.sleep(0)
        wanting.cancel()
        await until(lambda: one.site.config is config)


async def test_the_process_can_stop_while_something_is_being_opened(valkey_url: str) -> None:
    async with running(valkey_url, configured()) as one:
        broken = {"module": "reload_parts:Broken", "options": {"hangs": True}}
        change = asyncio.create_task(one.site.apply(configured(storages={"shelf": broken})))
        await until(lambda: WORLD.at_gate)
    assert (await asyncio.gather(change, return_exceptions=True))[0] is not None


async def test_a_list_that_leaves_and_comes_back_loses_nothing(valkey_url: str) -> None:
    here = configured(main=chain(lists=["in", "more"]))
    gone = configured(main=chain(lists=["more"]))
    async with running(valkey_url, here, lease=300.0) as one:
        await one.site.apply(gone)
        with pytest.raises(NotFound):
            await one.submit(vcon())
        await one.site.apply(here)
        uuids = await one.submit(*(vcon() for _ in range(50)))
        await one.site.apply(gone)  # some of them are read by now, some are not
        await one.site.apply(here)
        assert sorted(await all_of(one, 50)) == sorted(uuids)
        await one.settled("in", "more")


async def test_what_rests_is_let_go_of_with_its_list(valkey_url: str) -> None:
    failing = configured({"mark": link(fails=True, retry=SLOW)})
    elsewhere = configured(main=chain(lists=["more"]))
    # With a lease so long that nothing comes back by itself.
    async with running(valkey_url, failing, lease=300.0) as one:
        uuids = await one.submit(*(vcon() for _ in range(300)))
        await until(lambda: one.replica.consumer.waiting("main") == 300)
        await one.site.apply(elsewhere)
        assert not one.replica.consumer.owned()
        depth = (await one.backend.stream.depth(["in"]))["in"]
        assert (depth.pending, depth.dead) == (300, 0)
        # Each waits for its retry where it was, and is no crash of this replica.
        await one.site.apply(failing)
        await until(lambda: one.replica.consumer.waiting("main") == 300)
        assert len(WORLD.calls) == 300
        assert len(one.replica.consumer.owned()["in"]) == len(uuids)


async def test_retries_go_on_under_the_new_configuration(valkey_url: str) -> None:
    before = configured(
        {"mark": link("old"), "bad": link("old", fails=True), "last": link("old")},
        main=chain(["mark", "bad", "last"]),
    )
    after = configured(
        {"mark": link("new"), "bad": link("new"), "last": link("new")},
        main=chain(["mark", "bad", "last"]),
    )
    slow = {**before.raw["links"]["bad"], "retry": {"attempts": 9, "base": 0.6, "max": 0.6}}
    before = configured({**before.raw["links"], "bad": slow}, main=chain(["mark", "bad", "last"]))
    async with running(valkey_url, before) as one:
        [uuid] = await one.submit(vcon())
        await until(lambda: one.replica.consumer.waiting("main"))
        await one.site.apply(after)
        await one.settled()
        # It went on at the link that failed.
        assert await one.tags(uuid) == {"mark": "old", "bad": "new", "last": "new"}


async def test_what_a_broken_storage_holds_up_tries_the_new_one(valkey_url: str) -> None:
    down = configured(storages={"shelf": shelf("down", down=True)})
    async with running(valkey_url, down, longest_probe=3000.0) as one:
        uuids = await one.submit(*(vcon() for _ in range(20)))
        await until(lambda: one.replica.consumer.waiting("main") == 20)
        await one.site.apply(configured(storages={"shelf": shelf("new")}))
        await one.settled()
        assert set(WORLD.shelves["new"]) == set(uuids)
        assert not one.breakers.open_ones


async def test_a_storage_that_is_gone_holds_up_nobody(valkey_url: str) -> None:
    two = {"shelf": shelf(), "down": shelf("down", down=True)}
    before = configured(storages=two, main=chain(storages=["shelf", "down"]))
    async with running(valkey_url, before, longest_probe=3000.0) as one:
        uuids = await one.submit(*(vcon() for _ in range(20)))
        await until(lambda: one.replica.consumer.waiting("main") == 20)
        await one.site.apply(configured())
        await one.settled()
        assert set(WORLD.shelves["main"]) == set(uuids)
        assert not one.breakers.open_ones
        assert not await one.dead()


async def test_what_fails_late_at_a_storage_that_is_gone_goes_on_without(valkey_url: str) -> None:
    once = {"attempts": 1, "base": 1, "max": 1}
    two = {"shelf": shelf(), "down": shelf("down", down=True, seconds=0.2, retry=once)}
    before = configured(storages=two, main=chain(storages=["shelf", "down"]))
    async with running(valkey_url, before, longest_probe=3000.0) as one:
        uuids = await one.submit(*(vcon() for _ in range(20)))
        await until(lambda: len(WORLD.shelves["main"]) == 20)
        await one.site.apply(configured())  # while they try the one that is down
        assert sorted(await all_of(one, 20)) == sorted(uuids)
        assert not one.breakers.open_ones
        assert not await one.dead()


async def test_concurrency_changes_at_once(valkey_url: str) -> None:
    def config(concurrency: int) -> object:
        return configured({"mark": link(gate=True)}, main=chain(concurrency=concurrency))

    async with running(valkey_url, config(2)) as one:  # type: ignore[arg-type]
        await one.submit(*(vcon() for _ in range(20)))
        await until(lambda: WORLD.at_gate == 2)
        await one.site.apply(config(7))  # type: ignore[arg-type]
        await until(lambda: WORLD.at_gate == 7)
        await one.site.apply(config(1))  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        assert one.replica.consumer.inflight("main") == 7
        WORLD.gate.set()
        await one.settled()


async def test_who_waits_for_a_slot_may_find_more_of_them() -> None:
    slots = Slots(10, lambda: None)
    slots.take("a")
    waiting = [asyncio.create_task(slots.acquire("a", 1)) for _ in range(3)]
    await asyncio.sleep(0)
    slots.set_limits({"a": 3})
    await until(lambda: sum(task.done() for task in waiting) == 2)
    slots.release("a")
    await asyncio.gather(*waiting)


async def shown(*words: bytes) -> int:
    """How many gauges of these chains, lists or links there are."""
    text, _ = await asyncio.to_thread(render)
    gauges = (b"vconflow_inflight", b"vconflow_list_depth", b"vconflow_breaker_open")
    lines = [line for line in text.splitlines() if line.startswith(gauges)]
    return sum(any(word in line for word in words) for line in lines)


async def test_what_is_gone_is_not_measured_any_more(valkey_url: str) -> None:
    before = configured(
        {"fleeting_link": link()}, fleeting=chain(["fleeting_link"], lists=["fleeting_list"])
    )
    async with running(valkey_url, before) as one, asyncio.timeout(30):
        await one.submit(vcon(), to="fleeting_list")
        while await shown(b"fleeting") < 3:
            await asyncio.sleep(0.05)
        await one.site.apply(configured())
        while await shown(b"fleeting"):
            await asyncio.sleep(0.05)


async def test_a_chain_can_be_switched_off_and_on(valkey_url: str) -> None:
    off = configured(main=chain(enabled=False), other=chain(lists=["more"]))
    async with running(valkey_url, configured()) as one:
        await one.site.apply(off)
        with pytest.raises(NotFound):
            await one.submit(vcon())
        await one.site.apply(configured())
        uuids = await one.submit(vcon())
        assert await all_of(one, 1) == uuids


async def test_a_held_chain_keeps_what_it_had_begun(valkey_url: str) -> None:
    failing = configured({"mark": link(fails=True, retry=SLOW)})
    unbuilt = {"module": "storage.elasticsearch"}
    held = configured(storages={"shelf": unbuilt})
    assert held.chains["main"].held
    async with running(valkey_url, failing) as one:
        uuids = await one.submit(vcon())
        await until(lambda: one.replica.consumer.waiting("main") == 1)
        await one.site.apply(held)
        uuids += await one.submit(vcon())  # it accepts, and reads nothing
        await asyncio.sleep(0.1)
        depth = (await one.backend.stream.depth(["in"]))["in"]
        assert (depth.waiting, depth.pending) == (1, 1)
        await one.site.apply(configured({"mark": link("new")}))
        await until(lambda: uuids[1] in WORLD.shelves["main"])
        await until(lambda: one.replica.consumer.waiting("main") == 1)


async def test_a_list_moves_to_another_chain(valkey_url: str) -> None:
    before = configured({"mark": link("old", gate=True), "other": link()})
    after = configured(
        {"mark": link("old"), "other": link()}, second=chain(["other"], concurrency=3)
    )
    async with running(valkey_url, before) as one:
        [begun] = await one.submit(vcon())
        await until(lambda: WORLD.at_gate)
        await one.site.apply(after)
        later = await one.submit(*(vcon() for _ in range(10)))
        assert sorted(await all_of(one, 10)) == sorted(later)
        WORLD.gate.set()
        assert await all_of(one, 1) == [begun]
        assert await one.tags(begun) == {"mark": "old"}
        assert one.replica.consumer.inflight("main") == 0
        assert one.replica.consumer.inflight("second") == 0
