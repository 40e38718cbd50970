"""Clients that repeat a request with its idempotency key, over connections cut at random bytes."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from cuts_support import Lane, assert_no_traces, counted, in_each, list_key, open_lanes, open_work
from pipeline_support import step, vcon

from vconflow.errors import Conflict, Unavailable
from vconflow.model.identifiers import new_uuid
from vconflow.model.validation import validate
from vconflow.pipeline.chain import Chain
from vconflow.testing.tcp_proxy import Direction

LANES = 8
EACH = 8
MOST_CUTS = 5
"""In a row; the driver gives up after three, and then the client has to ask again."""

ResultT = TypeVar("ResultT")
directions = pytest.mark.parametrize("direction", list(Direction))


def chain(number: int) -> Chain:
    return Chain("main", (step("a"),), lists=(f"in{number}",), egress=("out",))


async def insisting(call: Callable[[], Awaitable[ResultT]]) -> tuple[ResultT, int]:
    """What a client does: ask until there is an answer. The answer, and how often it was asked."""
    async with asyncio.timeout(30):
        for asked in range(1, 1000):
            try:
                return await call(), asked
            except Unavailable:
                await asyncio.sleep(0.01)
    raise AssertionError


async def in_lanes(
    url: str, name: str, direction: Direction, scenario: Callable[[Lane, int], Awaitable[int]]
) -> None:
    """Run a scenario many times, each time cutting some of the calls in a row."""
    rng = random.Random(f"{name} {direction.value}")
    async with open_lanes(url, chain, LANES) as lanes:

        async def run(lane: Lane) -> int:
            asked = 0
            for number in range(EACH):
                for _ in range(rng.randint(1, MOST_CUTS)):
                    lane.cut(name, direction, rng.random())
                asked += await scenario(lane, number)
                assert all(cut.done for cut in lane.made)
            return asked

        asked = sum(await in_each(lanes, run))
        # Otherwise the driver alone had made good all that was cut.
        assert asked > LANES * EACH
        await assert_no_traces(lanes[0].client, [lane.list for lane in lanes])


@directions
async def test_a_vcon_is_accepted_once(redis_url: str, direction: Direction) -> None:
    async def scenario(lane: Lane, number: int) -> int:
        document, key = vcon(subject="x" * 200), f"key {number}"
        exclusive = bool(number % 2)

        async def post(body: bytes = document) -> str:
            accepted = await lane.it.ingest.accept(
                body,
                (lane.list,),
                owner=f"partner {lane.number}",
                idempotency_key=key,
                exclusive=exclusive,
            )
            return accepted.uuid

        uuid, asked = await insisting(post)
        await lane.idle()
        assert await post() == uuid
        with pytest.raises(Conflict, match="Idempotency-Key"):
            await post(vcon())
        await lane.idle()
        assert await open_work(lane.client, uuid) == (0, 1)
        assert (await counted(lane.client, list_key("out")))[uuid] == 1
        kinds = [record.kind for record in await lane.it.backend.history.of(uuid)]
        assert kinds == ["accepted", "completed"]
        return asked

    await in_lanes(redis_url, "accept", direction, scenario)


@directions
async def test_a_vcon_is_enqueued_once(redis_url: str, direction: Direction) -> None:
    async def scenario(lane: Lane, number: int) -> int:
        documents = [vcon(), vcon()]
        uuids = [validate(document).uuid for document in documents]
        for document in documents:
            await lane.it.ingest.accept(document)
        asking = [uuids[0], new_uuid(), uuids[1]]

        async def post() -> int:
            key = f"lane {lane.number} key {number}"
            return await lane.it.ingest.enqueue(asking, lane.list, idempotency_key=key)

        skipped, asked = await insisting(post)
        assert skipped == 1
        assert await post() == 1
        await lane.idle()
        delivered = await counted(lane.client, list_key("out"))
        assert Counter({uuid: delivered[uuid] for uuid in uuids}) == Counter(uuids)
        return asked

    await in_lanes(redis_url, "enqueue", direction, scenario)
