"""Connections cut all the time, and again and again at the same call."""

import asyncio
import random

import pytest
from cuts_support import (
    Lane,
    assert_delivered,
    counted,
    in_each,
    list_key,
    open_lanes,
    open_work,
    socket_of,
    unread,
)
from pipeline_support import site, step, unit, vcon
from redis.asyncio import Redis

from vconflow.errors import Retryable, Unavailable
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.testing.memory_storage import MemoryStorage
from vconflow.testing.tcp_proxy import Direction, tcp_proxy

LANES = 8
TRIES = 3
"""How often the driver sends a command."""


@pytest.mark.parametrize("direction", list(Direction))
async def test_an_accept_that_is_cut_each_time(redis_url: str, direction: Direction) -> None:
    """Then nobody knows whether it was done: not more than once, and all of it or nothing."""
    rng = random.Random(direction.value)

    async def run(lane: Lane) -> int:
        done = 0
        for _ in range(8):
            document = vcon(subject="x" * 200)
            uuid = Vcon(document).uuid
            cuts = [lane.cut("accept", direction, rng.random()) for _ in range(TRIES)]
            with pytest.raises(Unavailable):
                await lane.submit(document)
            assert all(cut.done for cut in cuts)
            count = (await counted(lane.client, list_key(lane.list)))[uuid]
            assert count <= 1
            assert await lane.client.exists(f"vcon:{uuid}") == count
            assert await open_work(lane.client, uuid) == (count, 0)
            await lane.submit(document)
            assert (await counted(lane.client, list_key(lane.list)))[uuid] == count + 1
            done += count
        return done

    async with open_lanes(redis_url, unread, LANES) as lanes:
        done = sum(await in_each(lanes, run))
    # A request that was cut before its end was not done; of one whose answer was lost, all was.
    assert done == (0 if direction is Direction.REQUESTS else 8 * LANES)


async def test_cuts_all_the_time(redis_url: str) -> None:
    rng = random.Random(7)
    storage = MemoryStorage()
    chain = Chain("main", (step("a"),), ("s",), ("in",), egress=("out",))
    async with tcp_proxy(socket_of(redis_url)) as proxy, Redis.from_url(redis_url) as client:
        url, storages = f"redis://127.0.0.1:{proxy.port}", {"s": unit("s", storage)}
        async with site(url, chain, storages=storages, lease=1.0) as it:

            async def cut_now_and_then() -> None:
                while True:
                    await asyncio.sleep(rng.uniform(0.005, 0.05))
                    proxy.cut_after(rng.randrange(4000), rng.choice(list(Direction)))

            cutter = asyncio.create_task(cut_now_and_then())
            accepted, refused = [], 0
            for document in [vcon() for _ in range(300)]:
                try:
                    accepted += await it.submit(document)
                except Retryable:
                    refused += 1
            cutter.cancel()
            proxy.restore()
            await it.settled()
            through = list(await counted(client, list_key("out")))
            assert len(accepted) + refused == 300
            assert len(accepted) > 200
            # What was refused may have been done all the same.
            assert set(accepted) <= set(through)
            assert len(through) <= 300
            await assert_delivered(client, through, ["in"], ["a:a"])
            assert set(through) == set(storage.vcons)
