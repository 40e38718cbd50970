"""A server that speaks MongoDB's protocol: SecantusDB, of which a wheel exists, on WiredTiger."""

import asyncio
import signal
import sysconfig
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from vconflow.testing.servers.process import Server, free_port

__all__ = ["MongoServer", "mongo"]


class MongoServer(Server):
    """A primary on a loopback port; with `auth` it asks for the password of a user."""

    auth = False
    stop_signal = signal.SIGKILL  # leaving in peace takes it seconds

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._program = Path(sysconfig.get_path("scripts")) / "secantusd-py"
        self.port = free_port()
        self.url = f"mongodb://127.0.0.1:{self.port}/"

    def command(self) -> list[str]:
        return [
            *(str(self._program), "--port", str(self.port)),
            *("--storage-path", str(self.path / "data"), "--cache-size", "64M"),
            *(("--auth",) if self.auth else ()),
        ]

    async def answers(self) -> bool:
        # It listens when it is ready.
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True


@asynccontextmanager
async def mongo() -> AsyncIterator[MongoServer]:
    """A server with an empty data folder of its own, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="vcf-mongo-", ignore_cleanup_errors=True) as folder:
        async with MongoServer(Path(folder)).running() as server:
            yield server
