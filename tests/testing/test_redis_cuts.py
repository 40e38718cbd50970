"""Cuts at chosen commands, in front of a real Valkey."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisDown

from vconflow.testing.redis_cuts import Command, RedisCuts, message_end
from vconflow.testing.tcp_proxy import Direction, tcp_proxy


@pytest.fixture
def cuts() -> RedisCuts:
    return RedisCuts()


@pytest.fixture
async def client(valkey_url: str, cuts: RedisCuts) -> AsyncIterator[Redis]:
    once = Retry(NoBackoff(), 0)
    async with (
        tcp_proxy(valkey_url.removeprefix("unix://"), cuts.tap) as proxy,
        Redis(port=proxy.port, retry=once, protocol=2) as client,
    ):
        await client.ping()
        yield client


def is_incr(command: Command) -> bool:
    return command[0].startswith(b"INCR")


async def test_what_is_not_cut_passes_unchanged(client: Redis, cuts: RedisCuts) -> None:
    payload = b"\r\n$3\r\n" * 100_000
    await client.set("big", payload)
    async with client.pipeline(transaction=True) as pipe:
        replies = await pipe.get("big").get("none").lrange("none", 0, -1).execute()
    assert replies == [payload, None, []]
    assert (b"SET", b"big", payload) in cuts.commands


@pytest.mark.parametrize(
    ("direction", "at", "answered", "done"),
    [
        (Direction.REQUESTS, 0.0, False, False),
        (Direction.REQUESTS, 0.5, False, False),
        (Direction.REQUESTS, 1.0, False, True),
        (Direction.REPLIES, 0.0, False, True),
        (Direction.REPLIES, 0.5, False, True),
        (Direction.REPLIES, 1.0, True, True),
    ],
)
async def test_each_place_of_a_cut(
    client: Redis,
    cuts: RedisCuts,
    valkey_url: str,
    direction: Direction,
    at: float,
    answered: bool,
    done: bool,
) -> None:
    cut = cuts.add(is_incr, direction, at)
    await client.set("other", 1)
    assert not cut.done
    if answered:
        assert await client.incr("count") == 1
    else:
        with pytest.raises(RedisDown):
            await client.incr("count")
    assert cut.done
    async with Redis.from_url(valkey_url) as direct:
        async with asyncio.timeout(10):
            # A request that was passed on whole is still to be read by the server.
            while done and not await direct.exists("count"):
                await asyncio.sleep(0.001)
        assert await direct.exists("count") == done
    # It was made once, and others were left alone.
    await client.incr("more")
    assert await client.get("other") == b"1"


async def test_cleared_cuts_are_not_made(client: Redis, cuts: RedisCuts) -> None:
    cut = cuts.add(is_incr, Direction.REQUESTS, 0.0)
    cuts.clear()
    assert await client.incr("count") == 1
    assert not cut.done


async def test_a_cut_hits_its_connection_only(client: Redis, cuts: RedisCuts) -> None:
    waiting = asyncio.create_task(client.blpop(["later"], 5))
    while not any(command[0] == b"BLPOP" for command in cuts.commands):
        await asyncio.sleep(0.001)
    cuts.add(is_incr, Direction.REPLIES, 0.0)
    with pytest.raises(RedisDown):
        await client.incr("count")
    await client.rpush("later", "x")
    assert await waiting == (b"later", b"x")


@pytest.mark.parametrize(
    "message",
    [b"+OK\r\n", b":12\r\n", b"$-1\r\n", b"$2\r\n\r\n\r\n", b"*-1\r\n", b"*0\r\n",
     b"*2\r\n*1\r\n:1\r\n$3\r\nabc\r\n", b"-ERR no\r\n"],
)  # fmt: skip
def test_where_messages_end(message: bytes) -> None:
    data = b"+x\r\n" + message + b":1\r\n"
    assert message_end(data, 4) == 4 + len(message)
    for end in range(4, 4 + len(message)):
        assert message_end(data[:end], 4) is None
