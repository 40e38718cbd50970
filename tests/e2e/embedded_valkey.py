"""The embedded Valkey of a vconflow process, seen and harmed from outside."""

import asyncio
import contextlib
import fcntl
import os
import resource
import signal
from pathlib import Path

import httpx
from redis_view import until
from vconflow_process import VconflowProcess

AOF = "appendonlydir"


def server_of(process: VconflowProcess) -> int | None:
    """The pid of its server, or of what is about to become one; None while there is none."""
    pid = process.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None


def kill_server(process: VconflowProcess) -> None:
    """As `kill -9` does; nothing when there is none."""
    pid = server_of(process)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def free_folder(folder: Path) -> None:
    """Wait until no process uses the data folder any more: an orphan would for ever."""
    with (folder / "data" / "vconflow.lock").open() as lock:

        def is_free() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            fcntl.flock(lock, fcntl.LOCK_UN)
            return True

        await until(is_free, 20)


class FullDisk:
    """A disk on which no file of the server can grow, whichever life of it tries."""

    def __init__(self, process: VconflowProcess, folder: Path) -> None:
        self._process = process
        self._folder = folder / "data" / "valkey"

    def fill(self) -> None:
        largest = max(file.stat().st_size for file in self._folder.rglob("*") if file.is_file())
        self._limit(largest)

    def free(self) -> None:
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        # What is started later inherits it.
        for pid in (self._process.process.pid, server_of(self._process)):
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def redis_state(client: httpx.AsyncClient) -> tuple[int, str]:
    """The status of /ready, and what it says about Redis."""
    reply = await client.get("/ready")
    (redis,) = [it for it in reply.json()["dependencies"] if it["name"] == "redis"]
    return reply.status_code, redis["error"]


async def until_ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while (await client.get("/ready")).status_code != 200:
            await asyncio.sleep(0.02)
