"""A Redis Cluster on loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from vconflow.adapters.embedded import find_server
from vconflow.testing.servers.process import free_port
from vconflow.testing.servers.redis_servers import RedisServer

__all__ = ["RedisCluster", "redis_cluster"]

MASTERS = 3
SLOTS = 16384
NODE_TIMEOUT_MS = 1000
JOIN_SECONDS = 60.0


class RedisCluster:
    """Its nodes, of which the first three were its masters at the start; `url` is a `REDIS_URL`.

    Where a client reaches each server is `nodes[i].url`, past whatever stands before its port.
    """

    def __init__(self, nodes: Sequence[RedisServer]) -> None:
        self.nodes = list(nodes)
        self.url = _url([node.port for node in nodes])

    async def command(self, node: RedisServer, *command: str | bytes | int) -> Any:
        """What a node answers."""
        async with Redis.from_url(node.url, protocol=2) as client:
            client.response_callbacks.clear()
            return await client.execute_command(*command)

    async def flush(self) -> None:
        """Empty all masters."""
        for node in self.nodes:
            if (await self.command(node, "ROLE"))[0] == b"master":
                await self.command(node, "FLUSHALL")

    async def holder_of(self, slot: int) -> RedisServer:
        """The node that is the master of a slot now, as it says itself."""
        for node in self.nodes:
            if node.is_running and await self._holds(node, slot):
                return node
        raise LookupError(f"nobody has slot {slot}")

    async def announce(self, ports: Sequence[int]) -> None:
        """Have the masters name other ports to clients, those of proxies; `url` has them too."""
        for node, port in zip(self.nodes, ports, strict=False):
            await self.command(node, "CONFIG", "SET", "cluster-announce-port", port)

        async def known() -> bool:
            views = [await self.command(node, "CLUSTER", "SLOTS") for node in self.nodes]
            return all({master[1] for _, _, master, *_ in view} == set(ports) for view in views)

        await _until(known)
        self.url = _url(ports)

    async def move_slot(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Move a slot with its keys from a master to another, as an operator does."""
        ids = [(await self.command(it, "CLUSTER", "MYID")).decode() for it in (source, target)]
        await self.command(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        await self.command(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        place = ("127.0.0.1", target.port, "", 0, 5000, "KEYS")
        while keys := await self.command(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
            await self.command(source, "MIGRATE", *place, *keys)
        for node in (target, source, *self.nodes):
            await self.command(node, "CLUSTER", "SETSLOT", slot, "NODE", ids[1])

    async def ready(self) -> None:
        """Wait until all nodes that run agree that all is well."""

        async def is_ready() -> bool:
            running = [node for node in self.nodes if node.is_running]
            infos = [await self.command(node, "CLUSTER", "INFO") for node in running]
            return all(
                b"cluster_state:ok" in info and b"cluster_slots_pfail:0" in info for info in infos
            )

        await _until(is_ready)

    async def replicated(self) -> None:
        """Wait until every master has a replica that is in sync."""

        async def is_replicated() -> bool:
            roles = [await self.command(node, "ROLE") for node in self.nodes if node.is_running]
            masters = [role for role in roles if role[0] == b"master"]
            return len(masters) == MASTERS and all(role[2] for role in masters)

        await _until(is_replicated)

    async def _holds(self, node: RedisServer, slot: int) -> bool:
        own = (await self.command(node, "CLUSTER", "MYID")).decode()
        slots = await self.command(node, "CLUSTER", "SLOTS")
        holders = [master[2] for first, last, master, *_ in slots if first <= slot <= last]
        return [holder.decode() for holder in holders] == [own]

    async def join(self) -> None:
        """Make one cluster of nodes that know nothing of each other."""
        first, *others = self.nodes
        for number, node in enumerate(self.nodes[:MASTERS]):
            bounds = SLOTS * number // MASTERS, SLOTS * (number + 1) // MASTERS - 1
            await self.command(node, "CLUSTER", "ADDSLOTSRANGE", *bounds)
            await self.command(node, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in others:
            await self.command(first, "CLUSTER", "MEET", "127.0.0.1", node.port, node.bus_port)
        await self._know_each_other()
        for number, node in enumerate(self.nodes[MASTERS:]):
            master = await self.command(self.nodes[number % MASTERS], "CLUSTER", "MYID")
            await self.command(node, "CLUSTER", "REPLICATE", master.decode())
        await self.ready()

    async def _know_each_other(self) -> None:
        async def known() -> bool:
            infos = [await self.command(node, "CLUSTER", "NODES") for node in self.nodes]
            return all(
                len(info.splitlines()) == len(self.nodes) and b"handshake" not in info
                for info in infos
            )

        await _until(known)


def _url(ports: Sequence[int]) -> str:
    return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports)


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(JOIN_SECONDS):
        while not await condition():  # noqa: ASYNC110  # servers set no event
            await asyncio.sleep(0.05)


@asynccontextmanager
async def redis_cluster(
    path: Path, *, replicas: int = 0, **settings: str | int
) -> AsyncIterator[RedisCluster]:
    """Three masters, and so many replicas of each; running while the context is."""
    binary = await asyncio.to_thread(find_server)
    async with AsyncExitStack() as stack:
        nodes = []
        for number in range(MASTERS * (1 + replicas)):
            folder = path / f"node{number}"
            await asyncio.to_thread(folder.mkdir)
            node = RedisServer(folder, binary, _settings() | settings)
            stack.callback(node.remove_socket)
            await node.start()
            stack.push_async_callback(node.stop)
            nodes.append(node)
        cluster = RedisCluster(nodes)
        await cluster.join()
        if replicas:
            await cluster.replicated()
        yield cluster


def _settings() -> dict[str, str | int]:
    return {
        "port": free_port(),
        "cluster_enabled": "yes",
        "cluster_port": free_port(),
        "cluster_node_timeout": NODE_TIMEOUT_MS,
        "repl_diskless_sync_delay": 0,
    }
