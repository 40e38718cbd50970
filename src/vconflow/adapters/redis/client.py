"""The connections to Redis, to one address or to whichever server Sentinel names."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.driver_info import DriverInfo

from vconflow import __version__
from vconflow.adapters.redis.cluster import ClusterShard
from vconflow.adapters.redis.sentinel import sentinel_client
from vconflow.adapters.redis.server_check import check_server
from vconflow.adapters.redis.writing import write_our_way
from vconflow.redis_url import parse_sentinel_url

__all__ = ["PATIENCE", "Connections", "open_redis"]

_BLOCK_LIMIT = 5.0
"""Seconds a blocking read waits at most; a silent connection is given up soon after."""

_SILENCE = 3.0
"""Seconds without an answer after which a connection is given up and the command repeated."""

PATIENCE = 7.0
"""Seconds that a command takes at most, with its repetitions: an HTTP client waits for it."""

_MOST_CONNECTIONS = 4096


class ConnectionId:
    """The number by which the server knows a connection, also after the driver has renewed it."""

    def __init__(self) -> None:
        self.value = 0

    async def learn(self, connection: AbstractConnection) -> None:
        """Ask for it while the connection is being made."""
        await connection.on_connect()
        await connection.send_command("CLIENT", "ID")
        self.value = int(await connection.read_response())


@dataclass(frozen=True)
class Connections:
    """`commands` serves everything that answers at once; `reader` is for the one blocking read.

    `reader_id` is 0 as long as the reader has not connected.
    """

    commands: Redis
    reader: Redis
    reader_id: ConnectionId
    block_limit: float = _BLOCK_LIMIT


@asynccontextmanager
async def open_redis(
    url: str, *, durability: str = "", shard: ClusterShard | None = None
) -> AsyncIterator[Connections]:
    """Connect, and refuse a server that could lose or evict what it accepted.

    `shard` is reached instead of `url`, if it is given. Raises `ConfigError` for a server that is
    unreachable, refuses the password, is older than Redis 7.0 or evicts keys, and for one that
    does not do what `durability` wants.
    """
    async with AsyncExitStack() as stack:
        repeating = Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.05), 2)
        place = url if shard is None else shard
        commands = await _open_client(stack, place, repeating, _SILENCE)
        # The reader's loop repeats by itself; a driver that repeats would only hide the outage.
        reader_id, silence = ConnectionId(), _BLOCK_LIMIT + 5.0
        reader = await _open_client(stack, place, Retry(NoBackoff(), 0), silence, reader_id)
        await check_server(commands, durability, is_cluster=shard is not None)
        yield Connections(commands, reader, reader_id)


class _BoundedRedis(Redis):
    """Gives a command up after a while.

    The driver repeats connecting within repeating the command, and waits for each.
    """

    patience: float

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        async with asyncio.timeout(self.patience):
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        pipe = _BoundedPipeline(
            self.connection_pool, self.response_callbacks, transaction, shard_hint
        )
        pipe.patience = self.patience
        return pipe


class _BoundedPipeline(Pipeline):
    patience: float

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        async with asyncio.timeout(self.patience):
            return await super().execute(raise_on_error)


async def _open_client(
    stack: AsyncExitStack,
    place: str | ClusterShard,
    retry: Retry,
    silence: float,
    connection_id: ConnectionId | None = None,
) -> _BoundedRedis:
    options: dict[str, Any] = {
        "protocol": 2,
        "retry": retry,
        "socket_timeout": silence,
        "socket_connect_timeout": _SILENCE,
        # The driver's default of 100 would turn the 101st call at the same time into an error.
        "max_connections": _MOST_CONNECTIONS,
        # Shown by CLIENT LIST. Given here, the driver need not search its own version on disk
        # each time it connects.
        "driver_info": DriverInfo(name="vconflow", lib_version=__version__),
    }
    if connection_id is not None:
        options["redis_connect_func"] = connection_id.learn
    if isinstance(place, ClusterShard):
        client = await stack.enter_async_context(place.client(_BoundedRedis, options))
    elif (sentinels := parse_sentinel_url(place)) is None:
        client = cast("_BoundedRedis", _BoundedRedis.from_url(place, **options))
        stack.push_async_callback(client.aclose)
    else:
        following = sentinel_client(sentinels, _BoundedRedis, options)
        client = await stack.enter_async_context(following)
    write_our_way(client)
    client.patience = max(PATIENCE, silence)
    # The driver's reply parsers differ between versions and cost time; we read plain replies.
    client.response_callbacks.clear()
    return client
