"""Redis and Valkey."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from vconflow.adapters.embedded import find_server, is_answering
from vconflow.testing.servers.process import Server

__all__ = ["RedisServer", "redis_server", "valkey"]


class RedisServer(Server):
    """A Redis or Valkey on a unix socket, as durable as vconflow wants it.

    `settings` are those of its configuration file, with `_` for `-`; `port` adds TCP on loopback,
    `cluster_port` is where nodes of a cluster talk to each other.
    """

    def __init__(self, path: Path, binary: Path, settings: Mapping[str, str | int]) -> None:
        super().__init__(path)
        self._binary = binary
        # Not below `path`: the address of a unix socket holds 107 bytes.
        self._socket = Path(tempfile.mkdtemp(prefix="vcf-")) / "redis.sock"
        durable = {"appendonly": "yes", "appendfsync": "always", "save": ""}
        self._settings = {"port": 0, "bind": "127.0.0.1", **durable, **settings}
        self.url = f"unix://{self._socket}"
        self.port = int(self._settings["port"])
        self.bus_port = int(self._settings.get("cluster_port", 0))

    def command(self) -> list[str]:
        arguments = [str(self._binary), "--unixsocket", str(self._socket), "--dir", str(self.path)]
        for name, value in self._settings.items():
            arguments += [f"--{name.replace('_', '-')}", str(value)]
        return arguments

    async def answers(self) -> bool:
        return await is_answering(self._socket)

    def remove_socket(self) -> None:
        """Remove the folder of the socket, after the last stop."""
        shutil.rmtree(self._socket.parent, ignore_errors=True)


@asynccontextmanager
async def valkey(path: Path, **settings: str | int) -> AsyncIterator[RedisServer]:
    """The Valkey that vconflow embeds, with its data in `path`; running while the context is."""
    binary = await asyncio.to_thread(find_server)
    async with _running_redis(RedisServer(path, binary, settings)) as server:
        yield server


@asynccontextmanager
async def redis_server(path: Path, **settings: str | int) -> AsyncIterator[RedisServer]:
    """The `redis-server` of the machine (7.0 on Debian 12), with its data in `path`."""
    binary = shutil.which("redis-server")
    if binary is None:
        raise RuntimeError("no redis-server on PATH: run `make setup-test`")
    async with _running_redis(RedisServer(path, Path(binary), settings)) as server:
        yield server


@asynccontextmanager
async def _running_redis(server: RedisServer) -> AsyncIterator[RedisServer]:
    try:
        async with server.running():
            yield server
    finally:
        server.remove_socket()
