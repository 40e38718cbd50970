"""Where the keys are: on one Redis, or each shard on the master of its slot."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from vconflow.adapters.redis.client import Connections, open_redis
from vconflow.adapters.redis.cluster import Cluster, open_cluster
from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.keys import Keys
from vconflow.adapters.redis.layout import check_layout, check_whole, count_of, keys_of_shards
from vconflow.adapters.redis.options import RedisOptions
from vconflow.adapters.redis.replication import ConfirmedScripts
from vconflow.adapters.redis.scripts import Scripts, load_scripts
from vconflow.redis_url import parse_cluster_url

__all__ = ["Place", "open_places"]


@dataclass(frozen=True)
class Place:
    """Where the keys of a shard are, or all of them."""

    connections: Connections
    keys: Keys
    scripts: Scripts

    async def ping(self) -> None:
        """A small write. Raises `Unavailable` when it is refused."""
        with redis_errors():
            # A full or read-only server answers PING all the same.
            await self.connections.commands.execute_command("SET", self.keys.probe, "", "PX", 1000)


@asynccontextmanager
async def open_places(url: str, options: RedisOptions) -> AsyncIterator[list[Place]]:
    """Connect to all shards. Raises `ConfigError` when a server or the number does not fit."""
    sources = await asyncio.to_thread(load_scripts)
    address = parse_cluster_url(url)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(open_cluster(address)) if address else None
        count = count_of(options.shards, is_cluster=cluster is not None)
        shards = keys_of_shards(options.created_name, count, is_cluster=cluster is not None)
        opening = (_open(url, keys, cluster, options, sources) for keys in shards)
        places = [await stack.enter_async_context(place) for place in opening]
        client = places[0].connections.commands
        if shards[0].tag:
            await check_layout(client, shards[0], count, is_cluster=cluster is not None)
        else:
            await check_whole(client)
        yield places


@asynccontextmanager
async def _open(
    url: str,
    keys: Keys,
    cluster: Cluster | None,
    options: RedisOptions,
    sources: Mapping[str, str],
) -> AsyncIterator[Place]:
    shard = None if cluster is None else cluster.shard(keys.tag)
    async with open_redis(url, durability=options.durability, shard=shard) as connections:
        client = connections.commands
        if options.durability == "replicated":
            scripts: Scripts = ConfirmedScripts(client, sources, keys)
        else:
            scripts = Scripts(client, sources, keys)
        await scripts.set_clock()
        yield Place(connections, keys, scripts)
