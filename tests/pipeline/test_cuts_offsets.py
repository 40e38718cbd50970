"""Connections cut at random bytes of the calls that decide what becomes of a vCon."""

import random
from collections import Counter

import pytest
from cuts_support import Lane, assert_delivered, counted, in_each, open_lanes, open_work
from pipeline_support import step, unit, vcon

from vconflow.errors import Permanent
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.ports.link import LinkRun, Outcome
from vconflow.testing.memory_storage import MemoryStorage
from vconflow.testing.tcp_proxy import Direction

OFFSETS = 64
LANES = 8


async def in_lanes(lanes: list[Lane], direction: Direction, calls: list[str]) -> list[str]:
    """Send vCons down the lanes, in each one after the other; of each vCon every call is cut."""
    rng = random.Random(f"{direction.value} {calls}")

    async def run(lane: Lane) -> list[str]:
        uuids = []
        for _ in range(OFFSETS // LANES):
            for call in calls:
                lane.cut(call, direction, rng.random())
            uuids.append(await lane.submit(vcon(subject="x" * 200)))
            await lane.idle()
            assert all(cut.done for cut in lane.made)
        return uuids

    return [uuid for uuids in await in_each(lanes, run) for uuid in uuids]


@pytest.mark.parametrize("direction", list(Direction))
async def test_accept_write_back_and_finish(redis_url: str, direction: Direction) -> None:
    storage = MemoryStorage()

    def chain(number: int) -> Chain:
        return Chain("main", (step("a"),), ("s",), (f"in{number}",), egress=("out",))

    async with open_lanes(redis_url, chain, LANES, {"s": unit("s", storage)}) as lanes:
        calls = ["accept", "commit defer document", "commit finish"]
        uuids = await in_lanes(lanes, direction, calls)
        client = lanes[0].client
        await assert_delivered(client, uuids, [lane.list for lane in lanes], ["a:a"])
        stored = {uuid: vcon.document for uuid, vcon in storage.vcons.items()}
        assert stored == {uuid: await client.get(f"vcon:{uuid}") for uuid in uuids}


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("storages", [(), ("s",)])
async def test_a_finish_that_is_the_write_back_too(
    redis_url: str, direction: Direction, storages: tuple[str, ...]
) -> None:
    storage = MemoryStorage()
    a = step("a", repeatable=True)

    def chain(number: int) -> Chain:
        return Chain("main", (a,), storages, (f"in{number}",), egress=("out",))

    async with open_lanes(redis_url, chain, LANES, {"s": unit("s", storage)}) as lanes:
        uuids = await in_lanes(lanes, direction, ["commit finish document"])
        client = lanes[0].client
        await assert_delivered(client, uuids, [lane.list for lane in lanes], ["a:a"])
        stored = {uuid: vcon.document for uuid, vcon in storage.vcons.items()}
        wanted = {uuid: await client.get(f"vcon:{uuid}") for uuid in uuids}
        assert stored == (wanted if storages else {})


@pytest.mark.parametrize("direction", list(Direction))
async def test_the_move_to_the_dead_letters(redis_url: str, direction: Direction) -> None:
    async def fail(vcon: Vcon, run: LinkRun) -> Outcome:
        raise Permanent("never")

    def chain(number: int) -> Chain:
        return Chain("main", (step("a"), step("f", fail)), lists=(f"in{number}",), egress=("out",))

    async with open_lanes(redis_url, chain, LANES) as lanes:
        uuids = await in_lanes(lanes, direction, ["commit bury document"])
        client = lanes[0].client
        letters: Counter[str] = Counter()
        for lane in lanes:
            letters += await counted(client, f"vconflow:dead:{lane.list}")
        assert letters == Counter(uuids)
        assert await client.keys("vconflow:run:*") == []
        assert await client.xlen("vconflow:list:out") == 0
        for uuid in uuids:
            assert await open_work(client, uuid) == (1, 0)
            assert Vcon(await client.get(f"vcon:{uuid}")).tags == ["a:a"]
