"""The servers under test, each in a process of its own."""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from redis.asyncio import Redis

from vconflow.adapters.embedded import embedded_valkey

__all__ = ["ROOT", "Server", "Service", "echo", "run", "vconflow"]

ROOT = Path(__file__).parents[2]

_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_DURABILITY = {"always": "fsync", "everysec": "everysec"}


@dataclass(frozen=True)
class Server:
    """Something that answers at `url`; its processes by name, whose CPU time is counted."""

    url: str
    pids: Mapping[str, int]


@dataclass(frozen=True)
class Service(Server):
    """A `vconflow serve`; `redis` is a connection of ours to its Valkey, with raw replies."""

    redis: Redis
    folder: Path


@asynccontextmanager
async def vconflow(
    config: Mapping[str, Any], *, fsync: str = "always", **environment: str
) -> AsyncIterator[Service]:
    """Run `vconflow serve` on an embedded Valkey in an empty folder.

    The Valkey is started from here instead of by the server, so that `fsync` can be chosen: Redis'
    appendfsync, `always` or `everysec`.
    """
    env = {k: v for k, v in os.environ.items() if not k.startswith("VCONFLOW_")}
    env |= {"LOG_LEVEL": "ERROR", "VCONFLOW_GRACE_SECONDS": "0", "PYTHONPATH": str(ROOT)}
    env |= {"VCONFLOW_DURABILITY": _DURABILITY[fsync], **environment}
    with tempfile.TemporaryDirectory(prefix="vcf-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # As much of it as by default, but not on the terminal.
        env |= {"VCONFLOW_AUDIT_LEVEL": "admin", "VCONFLOW_AUDIT_LOG": str(folder / "audit.log")}
        file = folder / "config.yml"
        file.write_text(yaml.safe_dump(dict(config)))
        command = ["-m", "vconflow", "serve", "--config", str(file), "--host", "127.0.0.1"]
        command += ["--port", "0", "--data-dir", str(folder / "data")]
        async with embedded_valkey(folder / "valkey", fsync=fsync) as valkey:
            env["REDIS_URL"] = valkey.url
            async with _raw_client(valkey.url) as redis, _serving(command, folder, env) as server:
                pids = {**server.pids, "Valkey": valkey.pid}
                yield Service(server.url, pids, redis, folder)


@asynccontextmanager
async def echo(folder: Path | None = None) -> AsyncIterator[Server]:
    """Run the bare server of `echo.py`, for the files in that folder if there is one."""
    command = ["-m", "benchmarks.harness.echo", *([str(folder)] if folder else ())]
    async with _serving(command, ROOT, dict(os.environ)) as server:
        yield server


async def run(*command: str) -> str:
    """Run a command in the repository's folder to its end; what it wrote to stdout."""
    process = await asyncio.create_subprocess_exec(
        *_tied_to_us(command), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {output.decode()}")
    return output.decode()


@asynccontextmanager
async def _raw_client(url: str) -> AsyncIterator[Redis]:
    client: Redis = Redis.from_url(url, protocol=2)
    client.response_callbacks.clear()
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def _serving(
    arguments: list[str], cwd: Path, env: Mapping[str, str]
) -> AsyncIterator[Server]:
    command = _tied_to_us([sys.executable, *arguments])
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, cwd=cwd, env=env
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_SECONDS):
            line = (await process.stdout.readline()).decode()
        if " ready on http://" not in line:
            raise RuntimeError(f"the server {' '.join(arguments[:2])} did not start")
        yield Server(line.split()[-1], {"server": process.pid})
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()


def _tied_to_us(command: Sequence[str]) -> list[str]:
    """Have the kernel end the process when ours dies, however that happens; only Linux can."""
    setpriv = shutil.which("setpriv")
    return [*((setpriv, "--pdeathsig", "TERM") if setpriv else ()), *command]
