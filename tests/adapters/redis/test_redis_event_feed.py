"""The channel of events on a real Redis, behind a connection that breaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from vconflow.adapters.redis.backend import RedisBackend
from vconflow.adapters.redis.client import open_redis
from vconflow.adapters.redis.event_feed import RedisEventSource
from vconflow.adapters.redis.keys import Keys
from vconflow.errors import Unavailable
from vconflow.ports.history import HistoryRecord
from vconflow.testing.contracts.backend import accept, vcon
from vconflow.testing.tcp_proxy import Direction, TcpProxy, tcp_proxy


class Ears:
    """Listens beside the test."""

    def __init__(self, source: RedisEventSource) -> None:
        self.heard: asyncio.Queue[HistoryRecord] = asyncio.Queue()
        self.began: asyncio.Queue[None] = asyncio.Queue()
        self.task = asyncio.create_task(
            source.listen(self.heard.put_nowait, lambda: self.began.put_nowait(None))
        )


@asynccontextmanager
async def ears(source: RedisEventSource) -> AsyncIterator[Ears]:
    found = Ears(source)
    try:
        await asyncio.wait_for(found.began.get(), 10)
        yield found
    finally:
        found.task.cancel()
        await asyncio.gather(found.task, return_exceptions=True)


async def subscriptions(backend: RedisBackend) -> int:
    reply = await backend.connections.commands.execute_command("PUBSUB", "NUMSUB", Keys().events)
    return int(reply[1])


async def test_what_any_replica_does_is_heard(backend: RedisBackend, other: RedisBackend) -> None:
    assert await subscriptions(backend) == 0
    async with ears(backend.event_source) as found:
        assert await subscriptions(backend) == 1
        receipts = [await accept(replica, vcon(), "in") for replica in (backend, other)]
        assert len(receipts) == 2
        records = [await asyncio.wait_for(found.heard.get(), 10) for _ in range(2)]
        assert [(record.kind, record.lists) for record in records] == [("accepted", ("in",))] * 2
        assert [record.replica for record in records] == ["one", "two"]
    async with asyncio.timeout(10):
        while await subscriptions(backend):
            await asyncio.sleep(0.01)


async def test_what_is_not_ours_on_the_channel_is_passed_over(backend: RedisBackend) -> None:
    async with ears(backend.event_source) as found:
        for nonsense in (b"", b"x", b"1 2 3", b"1 u \x81\xa1", b"\xff" * 100):
            await backend.connections.commands.publish(Keys().events, nonsense)
        await accept(backend, vcon(), "in")
        assert (await asyncio.wait_for(found.heard.get(), 10)).kind == "accepted"
        assert found.heard.empty()


@asynccontextmanager
async def breakable(url: str) -> AsyncIterator[tuple[TcpProxy, Redis]]:
    async with (
        tcp_proxy(url.removeprefix("unix://")) as proxy,
        open_redis(f"redis://127.0.0.1:{proxy.port}") as connections,
    ):
        yield proxy, connections.commands


async def test_a_broken_connection_is_made_again_or_told(
    backend: RedisBackend, redis_url: str
) -> None:
    async with (
        breakable(redis_url) as (proxy, client),
        ears(RedisEventSource(client, Keys())) as found,
    ):
        proxy.cut()
        await asyncio.wait_for(found.began.get(), 10)  # connected again: there is a gap
        await accept(backend, vcon(), "in")
        assert (await asyncio.wait_for(found.heard.get(), 10)).kind == "accepted"
        proxy.refuse()
        with pytest.raises(Unavailable):
            await asyncio.wait_for(asyncio.shield(found.task), 20)


async def test_a_connection_that_is_silent_for_ever_is_told(
    backend: RedisBackend, redis_url: str
) -> None:
    async with (
        breakable(redis_url) as (proxy, client),
        ears(RedisEventSource(client, Keys(), silence=0.2)) as found,
    ):
        await asyncio.sleep(1)  # several times as long: it answers when it is asked
        assert not found.task.done()
        proxy.stall(Direction.REPLIES)
        with pytest.raises(Unavailable, match="no sign of life"):
            await asyncio.wait_for(asyncio.shield(found.task), 20)


async def test_a_flood_leaves_others_their_turn(backend: RedisBackend) -> None:
    turns, count = 0, 5_000

    async def other_work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with ears(backend.event_source) as found:
        busy = asyncio.create_task(other_work())
        async with backend.connections.commands.pipeline(transaction=False) as pipe:
            for _ in range(count):
                pipe.publish(Keys().events, b"not ours")
            await pipe.execute()
        await accept(backend, vcon(), "in")
        await asyncio.wait_for(found.heard.get(), 60)
        busy.cancel()
    assert turns >= count / 100
