"""A master, its replica and a Sentinel that fails over between them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from vconflow.adapters.embedded import find_server
from vconflow.testing.servers import RedisServer, Server, free_port
from vconflow.testing.tcp_proxy import Direction, TcpProxy, tcp_proxy

__all__ = ["SERVICE", "SentinelSite", "sentinel_site"]

SERVICE = "vcons"
DOWN_AFTER_MS = 400
SWITCH_SECONDS = 30.0


class SentinelServer(Server):
    """A Sentinel of its own mind: one is a majority here."""

    def __init__(
        self, path: Path, binary: Path, master: int, password: str, patience_ms: int = 2000
    ) -> None:
        super().__init__(path)
        self._binary = binary
        self._config = path / "sentinel.conf"
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        lines = [
            *(f"port {self.port}", "bind 127.0.0.1", f'dir "{path}"'),
            f"sentinel monitor {SERVICE} 127.0.0.1 {master} 1",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {SERVICE} {patience_ms}",
            *([f'sentinel auth-pass {SERVICE} "{password}"'] if password else []),
        ]
        self._config.write_text("\n".join(lines) + "\n")

    def command(self) -> list[str]:
        return [str(self._binary), str(self._config), "--sentinel"]

    async def answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except ConnectionError:
            return False
        writer.close()
        return True


class SentinelSite:
    """Two servers, of which one is the master, and their Sentinel.

    `url` is a `REDIS_URL`. Where a client reaches each server is `nodes[i].url`. `link` is what
    the replica gets its data through.
    """

    def __init__(
        self, nodes: list[RedisServer], sentinel: SentinelServer, password: str, link: TcpProxy
    ) -> None:
        self.nodes = nodes
        self.link = link
        self.sentinel = sentinel
        self.password = password
        user = f":{quote(password, safe='')}@" if password else ""
        self.url = f"redis+sentinel://{user}127.0.0.1:{sentinel.port}/{SERVICE}"

    async def master(self) -> RedisServer:
        """The server that Sentinel names now."""
        async with Redis.from_url(self.sentinel.url) as client:
            address: Any = await client.sentinel_get_master_addr_by_name(SERVICE)
        (node,) = [node for node in self.nodes if node.port == int(address[1])]
        return node

    async def replica(self) -> RedisServer:
        """The other one."""
        master = await self.master()
        (node,) = [node for node in self.nodes if node is not master]
        return node

    async def in_sync(self) -> None:
        """Wait until the replica has everything that the master has, and Sentinel knows it."""
        async with self._client(await self.master()) as client:

            async def synced() -> bool:
                # WAIT is about the writes of its own connection: later ones come after all others.
                try:
                    await client.set("vconflow:test:in_sync", "x")
                except ResponseError:  # a master that must not be alone knows no replica yet
                    return False
                return await self._knows_replica() and bool(await client.wait(1, 100))

            await _until(synced)

    async def switched_from(self, old: RedisServer) -> None:
        """Wait until another server is the master and takes writes."""

        async def switched() -> bool:
            return await self.master() is not old

        await _until(switched)
        async with self._client(await self.master()) as client:

            async def is_master() -> bool:
                return bool((await client.info("replication"))["role"] == "master")

            await _until(is_master)

    async def fail_over(self) -> None:
        """Have Sentinel swap the two, as an operator does."""
        await self.in_sync()
        old = await self.master()
        async with Redis.from_url(self.sentinel.url) as client:
            await client.execute_command("SENTINEL", "FAILOVER", SERVICE)
        await self.switched_from(old)

    async def _knows_replica(self) -> bool:
        async with Redis.from_url(self.sentinel.url) as client:
            replicas = await client.sentinel_slaves(SERVICE)
        return any(not (it["is_sdown"] or it["is_disconnected"]) for it in replicas)

    def _client(self, node: RedisServer) -> Redis:
        client: Redis = Redis.from_url(node.url, password=self.password or None)
        return client


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(SWITCH_SECONDS):
        while not await condition():  # noqa: ASYNC110  # servers set no event
            await asyncio.sleep(0.05)


@asynccontextmanager
async def sentinel_site(
    path: Path, *, password: str = "", lag: float = 0.0, **settings: str | int
) -> AsyncIterator[SentinelSite]:
    """Run all three until the context ends; the replica is in sync at the start.

    With a `lag` the replica is at least so many seconds behind, until the first failover.
    """
    binary = await asyncio.to_thread(find_server)
    ports = [free_port(), free_port()]
    secrets = {"requirepass": password, "masterauth": password} if password else {}
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(tcp_proxy(f"127.0.0.1:{ports[0]}"))
        # Sentinel would put this right at once; as it is, only after its patience.
        source, patience_ms = (link.port, 120_000) if lag else (ports[0], 2000)
        nodes = []
        for number, port in enumerate(ports):
            folder = path / f"node{number}"
            folder.mkdir()
            follow = {"replicaof": f"127.0.0.1 {source}"} if number else {}
            common = {"port": port, "repl_diskless_sync_delay": 0, **secrets, **settings}
            node = RedisServer(folder, binary, common | follow)
            stack.callback(node.remove_socket)
            await node.start()
            stack.push_async_callback(node.stop)
            nodes.append(node)
        sentinel = SentinelServer(path, binary, ports[0], password, patience_ms)
        await sentinel.start()
        stack.push_async_callback(sentinel.stop)
        site = SentinelSite(nodes, sentinel, password, link)
        await site.in_sync()
        link.delay(lag, Direction.REPLIES)
        yield site
