"""Two batches of accepts are under way at the same time, and connections are cut."""

import asyncio
import random

import pytest
from cuts_support import Lane, counted, in_each, list_key, open_lanes, open_work
from pipeline_support import vcon

from vconflow.errors import Retryable
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.testing.tcp_proxy import Direction

LANES = 4
ROUNDS = 6
AT_ONCE = 60
"""Enough for two batches, with a third that gathers."""


def _unread(number: int) -> Chain:
    return Chain("main", lists=(f"in{number}",), held="not read here")


async def _try(lane: Lane, document: bytes) -> str | None:
    """The uuid, or None when it was refused: then it may be done all the same."""
    try:
        return await lane.submit(document)
    except Retryable:
        return None


@pytest.mark.parametrize("direction", list(Direction))
async def test_what_is_accepted_beside_a_cut_batch_is_there_once(
    redis_url: str, direction: Direction
) -> None:
    rng = random.Random(direction.value)

    async def run(lane: Lane) -> int:
        most = 0
        for _ in range(ROUNDS):
            documents = [vcon(subject="x" * 300) for _ in range(AT_ONCE)]
            before = lane.labels["accept"]
            cuts = [lane.cut("accept", direction, rng.random()) for _ in range(rng.choice((1, 2)))]
            accepted = await asyncio.gather(*(_try(lane, it) for it in documents))
            assert all(cut.done for cut in cuts)
            most = max(most, lane.labels["accept"] - before - len(cuts))
            entries = await counted(lane.client, list_key(lane.list))
            for document, uuid in zip(documents, accepted, strict=True):
                there = entries[Vcon(document).uuid]
                assert there == 1 if uuid else there <= 1
                assert await lane.client.exists(f"vcon:{Vcon(document).uuid}") == there
                assert await open_work(lane.client, Vcon(document).uuid) == (there, 0)
            assert all(accepted)  # one cut or two are what the driver repeats a command for
        return most

    async with open_lanes(redis_url, _unread, LANES) as lanes:
        assert min(await in_each(lanes, run)) >= 2


@pytest.mark.parametrize("direction", list(Direction))
async def test_a_later_change_is_not_overtaken(redis_url: str, direction: Direction) -> None:
    """The same vCon in several batches: those that are cut come again, and still in order."""
    rng = random.Random(direction.value)

    async def run(lane: Lane) -> None:
        for _ in range(ROUNDS):
            uuid = Vcon(vcon()).uuid
            cut = lane.cut("accept", direction, rng.random())
            tasks: list[asyncio.Task[str]] = []
            for number in range(4):
                others = [vcon() for _ in range(AT_ONCE // 4)]
                documents = (*others, vcon(uuid, subject=f"change {number}"))
                tasks += [asyncio.create_task(lane.submit(it)) for it in documents]
                await asyncio.sleep(rng.choice((0, 0.001)))
            await asyncio.gather(*tasks)
            assert cut.done
            document = await lane.client.get(f"vcon:{uuid}")
            assert Vcon(document).subject == "change 3"
            entries = await counted(lane.client, list_key(lane.list))
            assert entries[uuid] == 4

    async with open_lanes(redis_url, _unread, LANES) as lanes:
        await in_each(lanes, run)
