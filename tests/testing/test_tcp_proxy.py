"""The misbehaving proxy, in front of a real Valkey and a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisDown
from redis.exceptions import TimeoutError as RedisTimeout

from vconflow.testing import servers
from vconflow.testing.tcp_proxy import Direction, TcpProxy, tcp_proxy


@pytest.fixture
async def proxy(valkey_url: str) -> AsyncIterator[TcpProxy]:
    async with tcp_proxy(valkey_url.removeprefix("unix://")) as proxy:
        yield proxy


@pytest.fixture
async def client(proxy: TcpProxy) -> AsyncIterator[Redis]:
    once = Retry(NoBackoff(), 0)
    async with Redis(port=proxy.port, retry=once, socket_timeout=0.3) as client:
        yield client


async def test_it_carries_both_ways_and_counts(proxy: TcpProxy, client: Redis) -> None:
    payload = b"x" * 1_000_000
    await client.set("big", payload)
    assert await client.get("big") == payload
    assert proxy.passed(Direction.REQUESTS) > len(payload)
    assert proxy.passed(Direction.REPLIES) > len(payload)
    assert proxy.connections == proxy.open_connections == 1


async def test_cut_breaks_what_is_open_and_lets_new_ones_in(proxy: TcpProxy, client: Redis) -> None:
    waiting = asyncio.create_task(client.blpop(["never"], 0.2))
    while proxy.passed(Direction.REQUESTS) == 0 or not proxy.open_connections:
        await asyncio.sleep(0.001)
    proxy.cut()
    with pytest.raises(RedisDown):
        await waiting
    assert await client.ping()


async def test_refuse_lets_nobody_in_until_restored(proxy: TcpProxy, client: Redis) -> None:
    await client.ping()
    proxy.refuse()
    for _ in range(2):
        with pytest.raises(RedisDown):
            await client.ping()
    proxy.restore()
    assert await client.ping()


async def test_cut_after_loses_the_reply_but_not_the_write(
    proxy: TcpProxy, client: Redis, valkey_url: str
) -> None:
    await client.ping()
    proxy.cut_after(0, Direction.REPLIES)
    with pytest.raises(RedisDown):
        await client.incr("written")
    async with Redis.from_url(valkey_url) as direct:
        assert await direct.get("written") == b"1"


async def test_cut_after_can_stop_a_request_half_way(
    proxy: TcpProxy, client: Redis, valkey_url: str
) -> None:
    await client.ping()
    proxy.cut_after(1000, Direction.REQUESTS)
    with pytest.raises(RedisDown):
        await client.set("half", b"x" * 100_000)
    async with Redis.from_url(valkey_url) as direct:
        assert not await direct.exists("half")


async def test_stalled_replies_come_after_restore(proxy: TcpProxy, client: Redis) -> None:
    await client.ping()
    proxy.stall(Direction.REPLIES)
    with pytest.raises(RedisTimeout):
        await client.ping()
    proxy.restore()
    assert await client.ping()


async def test_delay_holds_replies_back(proxy: TcpProxy, client: Redis) -> None:
    await client.ping()
    proxy.delay(60.0, Direction.REPLIES)
    with pytest.raises(RedisTimeout):
        await client.ping()


async def test_a_server_that_is_away_is_a_reset_connection() -> None:
    async with (
        tcp_proxy(f"127.0.0.1:{servers.free_port()}") as proxy,
        Redis(port=proxy.port, retry=Retry(NoBackoff(), 0)) as client,
    ):
        with pytest.raises(RedisDown):
            await client.ping()


async def test_postgres_through_the_proxy(postgres_server: servers.PostgresServer) -> None:
    upstream = postgres_server.url.partition("@")[2].partition("/")[0]
    async with tcp_proxy(upstream) as proxy:
        client = await asyncpg.connect(
            f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres?sslmode=disable"
        )
        assert await client.fetchval("SELECT 1") == 1
        proxy.cut()
        with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
            await client.fetchval("SELECT 1")
        client.terminate()
