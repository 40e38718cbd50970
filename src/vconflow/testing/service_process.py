"""A real `vconflow serve` in a process of its own."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

__all__ = ["ServiceProcess", "launched", "send_signal", "service"]

START_SECONDS = 60.0
STOP_SECONDS = 60.0


class ServiceProcess:
    """One replica; `url` is where it answers, `log` the file of its log lines."""

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

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing is done when it has ended."""
        send_signal(self.process, number)

    def kill(self) -> None:
        """Kill it as `kill -9` does."""
        self.signal(signal.SIGKILL)

    async def die(self) -> None:
        """Kill it; it is gone afterwards."""
        self.kill()
        await self.ended()

    def freeze(self) -> None:
        """Stop it where it stands."""
        self.signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)

    async def terminate(self) -> int:
        """Ask it to stop, and return its exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for its end and return the exit code."""
        async with asyncio.timeout(STOP_SECONDS):
            return await self.process.wait()


def send_signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal to a process that may be ending.

    Its own `send_signal` looks for the exit code first, and so takes it away from asyncio, which
    then says 255.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


@asynccontextmanager
async def service(
    folder: Path,
    config: Path | Mapping[str, Any],
    name: str = "one",
    port: int = 0,
    **environment: str,
) -> AsyncIterator[ServiceProcess]:
    """Start a replica in `folder`; it is stopped at the end if it still runs.

    `config` is a file or what is to stand in one. Without REDIS_URL in `environment` it brings its
    own Valkey.
    """
    async with launched(folder, config, name, port, **environment) as process:
        await process.ready()
        yield process


@asynccontextmanager
async def launched(
    folder: Path,
    config: Path | Mapping[str, Any],
    name: str = "one",
    port: int = 0,
    **environment: str,
) -> AsyncIterator[ServiceProcess]:
    """The same, from the moment there is a process: it has no `url` until it is `ready`."""
    path, log = _prepare(folder, config, name)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("VCONFLOW_", "REDIS_URL"))}
    env |= {"VCONFLOW_REPLICA": name, **environment}
    with log.open("a") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "vconflow", "serve", "--config", str(path),
            "--port", str(port), "--data-dir", str(folder / "data"),
            stdout=asyncio.subprocess.PIPE, stderr=stderr, env=env, cwd=folder,
        )  # fmt: skip
    try:
        yield ServiceProcess(process, log)
    finally:
        if process.returncode is None:
            send_signal(process, signal.SIGCONT)
            send_signal(process, signal.SIGTERM)
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        # Without this its pipe is closed by the garbage collector, after the loop.
        process._transport.close()  # type: ignore[attr-defined]


def _prepare(folder: Path, config: Path | Mapping[str, Any], name: str) -> tuple[Path, Path]:
    """The files of the configuration and of the log lines."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    if isinstance(config, Path):
        return config, log
    path = folder / f"{name}.yml"
    path.write_text(yaml.safe_dump(dict(config)))
    return path, log
