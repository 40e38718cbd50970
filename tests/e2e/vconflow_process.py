"""A real `vconflow serve` in a process of its own."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

START_SECONDS = 60.0
STOP_SECONDS = 60.0
MODULES = Path(__file__).parent / "troublemakers"
"""Links that a configuration names as `package.module:Class`."""


class VconflowProcess:
    """One replica; `url` is where it answers."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.url = ""
        self.log = log

    async def ready(self) -> None:
        """Wait until it says that it answers."""
        async with asyncio.timeout(START_SECONDS):
            assert self.process.stdout is not None
            line = (await self.process.stdout.readline()).decode()
        assert line.startswith("vconflow ready on http"), self.log.read_text()
        self.url = line.split()[-1]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)

    async def die(self) -> None:
        """Kill it as `kill -9` does; it is gone afterwards."""
        self.kill()
        await self.ended()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for its end and return the exit code."""
        async with asyncio.timeout(STOP_SECONDS):
            return await self.process.wait()


@asynccontextmanager
async def vconflow(
    folder: Path, config: Mapping[str, Any], name: str = "one", port: int = 0, **environment: str
) -> AsyncIterator[VconflowProcess]:
    """Start a replica in `folder`; it is stopped at the end if it still runs."""
    async with launched(folder, config, name, port, **environment) as process:
        await process.ready()
        yield process


@asynccontextmanager
async def launched(
    folder: Path, config: Mapping[str, Any], name: str = "one", port: int = 0, **environment: str
) -> AsyncIterator[VconflowProcess]:
    """The same, from the moment there is a process: it has no `url` until it is `ready`."""
    folder.mkdir(parents=True, exist_ok=True)
    path, log = folder / f"{name}.yml", folder / f"{name}.log"
    path.write_text(yaml.safe_dump(dict(config)))
    env = {k: v for k, v in os.environ.items() if not k.startswith(("VCONFLOW_", "REDIS_URL"))}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (env.get("PYTHONPATH"), str(MODULES))))
    env |= {"VCONFLOW_REPLICA": name, **environment}
    with log.open("a") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "vconflow", "serve", "--config", str(path),
            "--port", str(port), "--data-dir", str(folder / "data"),
            stdout=asyncio.subprocess.PIPE, stderr=stderr, env=env, cwd=folder,
        )  # fmt: skip
    try:
        yield VconflowProcess(process, log)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        # Without this its pipe is closed by the garbage collector, after the loop.
        process._transport.close()  # type: ignore[attr-defined]


async def pop_all(
    client: httpx.AsyncClient, name: str, count: int, seconds: float = 60
) -> list[str]:
    """Pop an egress list in small bites until `count` uuids came."""
    popped: list[str] = []
    async with asyncio.timeout(seconds):
        while len(popped) < count:
            reply = await client.get("/vcon/egress", params={"egress_list": name, "limit": 17})
            reply.raise_for_status()
            popped += reply.json()
            if not reply.json():
                await asyncio.sleep(0.02)
    return popped
