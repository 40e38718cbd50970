"""Finding the master of a shard in a Redis Cluster, and leaving one that is no longer its master.

A shard is one slot: its keys are on one node, and plain connections to that node reach them.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from redis import exceptions as driver
from redis.asyncio import Redis
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection
from redis.crc import key_slot

from vconflow.adapters.redis.cluster_map import ClusterMap
from vconflow.adapters.redis.ending import end_all
from vconflow.adapters.redis.errors import redis_errors
from vconflow.errors import Permanent, Unavailable
from vconflow.redis_url import ClusterUrl

__all__ = ["Cluster", "ClusterShard", "open_cluster"]

_LOOK_SECONDS = 0.5
"""Between two looks at who the masters are, as with Sentinel."""

ClientT = TypeVar("ClientT", bound=Redis)


class _SlotConnection(Connection):
    """Connects to whichever node is the master of a slot."""

    def __init__(self, *, nodes: ClusterMap, slot: int, **options: Any) -> None:
        self._nodes = nodes
        self._slot = slot
        super().__init__(**options)

    async def connect(self) -> None:
        if self.is_connected:
            return
        self.host, self.port = await self._nodes.master_of(self._slot)
        try:
            await super().connect()  # type: ignore[no-untyped-call]
        except (driver.ConnectionError, driver.TimeoutError):
            self._nodes.doubt()
            raise

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        # MovedError is an AskError too. A server that has become a replica says READONLY to some.
        except (driver.AskError, driver.ReadOnlyError) as error:
            self._nodes.doubt()
            await self.disconnect()
            raise driver.ConnectionError("another node has the slot now") from error


class _SlotSSLConnection(_SlotConnection, SSLConnection):
    pass


@dataclass(frozen=True)
class ClusterShard:
    """One shard of a cluster, for which clients can be opened."""

    nodes: ClusterMap
    slot: int
    url: ClusterUrl

    @asynccontextmanager
    async def client(
        self, client_class: type[ClientT], options: Mapping[str, Any]
    ) -> AsyncIterator[ClientT]:
        """A client of the shard's master; `options` are those of its connections."""
        pool = ConnectionPool(
            connection_class=_SlotSSLConnection if self.url.tls else _SlotConnection,
            nodes=self.nodes,
            slot=self.slot,
            username=self.url.username,
            password=self.url.password,
            **options,
        )
        client = cast("ClientT", client_class.from_pool(pool))
        self.nodes.pools.append((self.slot, pool))
        try:
            yield client
        finally:
            self.nodes.pools.remove((self.slot, pool))
            await client.aclose()


@dataclass(frozen=True)
class Cluster:
    """The nodes of a cluster."""

    nodes: ClusterMap
    url: ClusterUrl

    def shard(self, tag: str) -> ClusterShard:
        """The shard whose keys have this tag."""
        return ClusterShard(self.nodes, key_slot(tag.encode()), self.url)


@asynccontextmanager
async def open_cluster(url: ClusterUrl) -> AsyncIterator[Cluster]:
    """Keep an eye on the masters until the end."""
    async with ClusterMap(url) as nodes:
        following = asyncio.create_task(_follow(nodes))
        try:
            yield Cluster(nodes, url)
        finally:
            await end_all([following])


async def _follow(nodes: ClusterMap) -> None:
    """Cut the connections to a master that was replaced: one that lives on keeps them, and takes
    writes that are lost until it learns of its successor.
    """
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        # Without an answer the old connections are as good as any.
        with contextlib.suppress(Unavailable, Permanent), redis_errors():
            for pool in await nodes.moved():
                await pool.disconnect()
