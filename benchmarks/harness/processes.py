"""The servers under test, each in a process of its own."""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

__all__ = ["ROOT", "echo", "run", "vconflow"]

ROOT = Path(__file__).parents[2]

_START_SECONDS = 60.0
_STOP_SECONDS = 60.0


@asynccontextmanager
async def vconflow(config: Mapping[str, Any], **environment: str) -> AsyncIterator[str]:
    """Run `vconflow serve` with an embedded Valkey in an empty folder; where it answers."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("VCONFLOW_", "REDIS_URL"))}
    env |= {"LOG_LEVEL": "ERROR", "VCONFLOW_GRACE_SECONDS": "0", **environment}
    # `fsync` refuses to start on a Valkey that does not write every accepted vCon to the disk.
    env["VCONFLOW_DURABILITY"] = "fsync"
    with tempfile.TemporaryDirectory(prefix="vcf-bench-") as name:
        folder = Path(name)
        file = folder / "config.yml"
        file.write_text(yaml.safe_dump(dict(config)))
        command = ["-m", "vconflow", "serve", "--config", str(file), "--host", "127.0.0.1"]
        command += ["--port", "0", "--data-dir", str(folder / "data")]
        async with _serving(command, folder, env) as url:
            yield url


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """Run the bare server of `echo.py`; where it answers."""
    async with _serving(["-m", "benchmarks.harness.echo"], ROOT, dict(os.environ)) as url:
        yield url


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
async def _serving(arguments: list[str], cwd: Path, env: Mapping[str, str]) -> AsyncIterator[str]:
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
        yield line.split()[-1]
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()


def _tied_to_us(command: Sequence[str]) -> list[str]:
    """Have the kernel end the process when ours dies, however that happens; only Linux can."""
    setpriv = shutil.which("setpriv")
    return [*((setpriv, "--pdeathsig", "TERM") if setpriv else ()), *command]
