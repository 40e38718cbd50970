"""Two batches of accepts are under way at the same time, and connections are cut."""

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from cuts_support import Lane, counted, in_each, list_key, open_lanes, open_work, rows, unread
from pipeline_support import vcon

from vconflow.adapters.redis.scripts import ScriptCall, Scripts
from vconflow.errors import Retryable
from vconflow.model.vcon import Vcon
from vconflow.testing.tcp_proxy import Direction

LANES = 4
ROUNDS = 6
AT_ONCE = 60
"""Enough for two batches, with a third that gathers."""


async def _try(lane: Lane, document: bytes) -> str | None:
    """The uuid, or None when it was refused: then it may be done all the same."""
    try:
        return await lane.submit(document)
    except Retryable:
        return None


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How many batches of accepts were under way at the same time, at most; by their replica."""
    now, most, run = Counter[int](), Counter[int](), Scripts.run

    async def counted_run(self: Scripts, name: str, call: ScriptCall, header: list[Any]) -> Any:
        if name != "accept":
            return await run(self, name, call, header)
        now[id(self)] += 1
        most[id(self)] = max(most[id(self)], now[id(self)])
        try:
            return await run(self, name, call, header)
        finally:
            now[id(self)] -= 1

    monkeypatch.setattr(Scripts, "run", counted_run)
    return most


@pytest.mark.parametrize("direction", list(Direction))
async def test_what_is_accepted_beside_a_cut_batch_is_there_once(
    redis_url: str, direction: Direction, at_once: Counter[int]
) -> None:
    rng = random.Random(direction.value)

    async def run(lane: Lane) -> int:
        done = 0
        for _ in range(ROUNDS):
            documents = [vcon(subject="x" * 300) for _ in range(AT_ONCE)]
            cuts = [lane.cut("accept", direction, rng.random()) for _ in range(rng.choice((1, 4)))]
            accepted = await asyncio.gather(*(_try(lane, it) for it in documents))
            lane.cuts.clear()
            assert cuts[0].done
            entries = await counted(lane.client, list_key(lane.list))
            for document, uuid in zip(documents, accepted, strict=True):
                there = entries[Vcon(document).uuid]
                assert there == 1 if uuid else there <= 1
                assert await lane.client.exists(f"vcon:{Vcon(document).uuid}") == there
                assert await open_work(lane.client, Vcon(document).uuid) == (there, 0)
                done += bool(uuid)
        return done

    async with open_lanes(redis_url, unread, LANES) as lanes:
        assert min(await in_each(lanes, run)) >= AT_ONCE
    assert set(at_once.values()) == {2}


async def test_a_later_change_is_not_overtaken(redis_url: str, at_once: Counter[int]) -> None:
    """The same vCon in several batches: a request that is cut comes again, and still in order."""
    rng = random.Random(7)

    async def run(lane: Lane) -> None:
        for _ in range(ROUNDS):
            uuid = Vcon(vcon()).uuid
            cut = lane.cut("accept", Direction.REQUESTS, rng.random())
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
            assert (await counted(lane.client, list_key(lane.list)))[uuid] == 4

    async with open_lanes(redis_url, unread, LANES) as lanes:
        await in_each(lanes, run)
    assert set(at_once.values()) == {2}


async def test_a_list_keeps_the_order_of_a_bulk_load(redis_url: str, at_once: Counter[int]) -> None:
    """Also where small lines come behind large ones, which take longer to be read."""
    documents = [vcon(subject="x" * (20_000 if number < 70 else 1)) for number in range(200)]
    loaded = [Vcon(it).uuid for it in documents]
    async with open_lanes(redis_url, unread, 1) as (lane,):
        accept = lane.it.ingest.accept
        for _ in range(ROUNDS):
            await asyncio.gather(*(accept(it, (lane.list,), source="bulk") for it in documents))
        entries = await rows(lane.client, list_key(lane.list))
        assert [fields[b"uuid"].decode() for fields in entries] == loaded * ROUNDS
    assert set(at_once.values()) == {1}
