"""Many changes of the configuration while thousands of vCons go through."""

import asyncio
import random
from collections import defaultdict
from typing import Any

import pytest
from pipeline_support import until, vcon
from reload_parts import WORLD
from reload_support import SLOW, Running, all_of, chain, configured, link, running, shelf

from vconflow.config import Config
from vconflow.errors import NotFound

COUNT = 3000
CHANGES = 12


@pytest.fixture(autouse=True)
def _world() -> None:
    WORLD.reset()


def numbered(number: int, **options: Any) -> Config:
    """Each has other links, every second one another storage, every third one list less."""
    value = str(number)
    links = {name: link(value, seconds=0.002) for name in ("first", "second", "third")}
    storages = {"keeper": shelf("keeper"), "shelf": shelf(str(number // 2))}
    lists = ["in", "more"] if number % 3 else ["in"]
    names = ["first", "second", "third"] if number % 2 else ["first", "third"]
    main = chain(names, ["keeper", "shelf"], lists, concurrency=20 + 30 * (number % 4), **options)
    return configured(links, storages, main=main)


async def feed(one: Running, documents: list[bytes]) -> list[str]:
    """Submit in portions to one list or the other, as long as there is one."""
    accepted: list[str] = []
    for start in range(0, len(documents), 20):
        portion = documents[start : start + 20]
        to = random.choice(["in", "more"])
        try:
            accepted += await one.submit(*portion, to=to)
        except NotFound:
            accepted += await one.submit(*portion)
        await asyncio.sleep(0.005)
    return accepted


def configurations_of_attempts() -> dict[str, list[str]]:
    seen: dict[str, list[str]] = defaultdict(list)
    for entry, _, value in WORLD.calls:
        seen[entry].append(value)
    return seen


async def test_nothing_is_lost_and_nothing_done_twice(valkey_url: str) -> None:
    async with running(valkey_url, numbered(1)) as one:
        async with asyncio.TaskGroup() as group:
            feeding = group.create_task(feed(one, [vcon() for _ in range(COUNT)]))
            for number in range(2, CHANGES + 1):
                await asyncio.sleep(random.uniform(0.02, 0.1))
                await one.site.apply(numbered(number))
        accepted = feeding.result()
        await one.site.apply(numbered(CHANGES + 1))
        popped = await all_of(one, COUNT)
        assert sorted(popped) == sorted(accepted)
        assert len(accepted) == COUNT
        # Every link ran in every entry once, and all of one entry by the same configuration.
        seen = configurations_of_attempts()
        assert all(len(set(values)) == 1 for values in seen.values())
        assert all(len(values) == 2 + int(values[0]) % 2 for values in seen.values())
        assert len({values[0] for values in seen.values()}) > CHANGES // 2
        # Each is where its configuration says.
        for uuid in accepted:
            value = (await one.tags(uuid))["first"]
            assert uuid in WORLD.shelves[str(int(value) // 2)]
        assert set(WORLD.shelves["keeper"]) == set(accepted)
        assert WORLD.opened["keeper:keeper"] == 1
        await one.settled("in", "more")
        assert not await one.dead() + await one.dead("more")
        await until(lambda: len(one.pool.open) == 5)
        assert sum(WORLD.still_open().values()) == 5


async def test_what_one_replica_lets_go_of_another_takes(valkey_url: str) -> None:
    slow = configured({"mark": link("old", fails=True, retry=SLOW)})
    works = configured({"mark": link("new")})
    elsewhere = configured(main=chain(lists=["more"]))
    async with (
        running(valkey_url, slow) as one,
        running(valkey_url, elsewhere, name="two") as two,
    ):
        uuids = await one.submit(*(vcon() for _ in range(200)))
        await until(lambda: one.replica.consumer.waiting("main") == 200)
        await one.site.apply(elsewhere)
        await one.replica.consumer.give_back()
        await two.site.apply(works)
        # They keep the time of their retry, and are the other's now.
        await until(lambda: two.replica.consumer.waiting("main") == 200)
        assert len(WORLD.calls) == 200
        assert one.replica.consumer.waiting("main") == 0
        more = await two.submit(vcon())
        assert await all_of(two, 1) == more
        assert len(uuids) == len(two.replica.consumer.owned()["in"])


async def test_two_replicas_change_one_after_the_other(valkey_url: str) -> None:
    async with (
        running(valkey_url, numbered(1), lease=3.0) as one,
        running(valkey_url, numbered(1), name="two", lease=3.0) as two,
    ):
        async with asyncio.TaskGroup() as group:
            feeding = group.create_task(feed(one, [vcon() for _ in range(1000)]))
            for number in range(2, 7):
                await one.site.apply(numbered(number))
                await asyncio.sleep(random.uniform(0.02, 0.1))
                await two.site.apply(numbered(number))
        accepted = feeding.result()
        for replica in (one, two):
            await replica.site.apply(numbered(7))
        assert sorted(await all_of(one, len(accepted))) == sorted(accepted)
        seen = configurations_of_attempts()
        assert all(len(set(values)) == 1 for values in seen.values())


async def test_a_replica_that_starts_again_finds_what_was_let_go(valkey_url: str) -> None:
    gone = configured(main=chain(lists=["more"]))
    failing = configured({"mark": link(fails=True, retry=SLOW)})
    async with running(valkey_url, failing) as one:
        await one.submit(*(vcon() for _ in range(30)))
        await until(lambda: one.replica.consumer.waiting("main") == 30)
        await one.site.apply(gone)
    async with running(valkey_url, gone):
        pass
    async with running(valkey_url, failing) as one:
        await until(lambda: one.replica.consumer.waiting("main") == 30)
        assert len(WORLD.calls) == 30
