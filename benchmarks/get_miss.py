"""GET /vcon/{uuid} of vCons that have left Redis: each is read from its file."""

import asyncio
from collections.abc import AsyncIterator

from benchmarks.harness.cpu import CpuMeter
from benchmarks.harness.figures import Figure, Limit, Options, Sample, compare
from benchmarks.harness.load import get, sample_of
from benchmarks.harness.passage import TAG, chain_config, fill, settled
from benchmarks.harness.processes import Server, echo, vconflow

__all__ = ["run"]

LIMIT = "bare Starlette that reads the same file in a thread"
EXPIRY = 1
"""Seconds that a vCon which was read stays in Redis: all others are read before its next turn."""
VCONS = 8192


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure the flow."""
    config = chain_config(*TAG, storages=["files"])
    config["storages"] = {"files": {"module": "storage.file", "options": {"fsync": False}}}
    async with vconflow(config, VCON_REDIS_EXPIRY=str(EXPIRY)) as service:
        files = service.folder / "data" / "storage" / "files"
        number = int(VCONS * min(1.0, options.seconds))
        await fill(service, number)
        await settled(service)
        paths = [f"/vcon/{file.stem}" for file in files.rglob("*.json")]
        if len(paths) != number:
            raise RuntimeError(f"{number} came through, but there are {len(paths)} files")

        async def ours(seconds: float) -> Sample:
            await asyncio.sleep(2 * EXPIRY)
            sample = await _read(service, paths, seconds, options)
            if sample.value * min(seconds, EXPIRY) > number:
                raise RuntimeError(f"too fast for {number} vCons: some were still in Redis")
            return sample

        async def limit(seconds: float) -> Sample:
            return await _read(bare, paths, seconds, options)

        async with echo(files) as bare:
            async for figure in compare("get_miss", ours, Limit(LIMIT, limit), options=options):
                yield figure


async def _read(server: Server, paths: list[str], seconds: float, options: Options) -> Sample:
    meter = CpuMeter(server.pids)
    return sample_of(await get(server.url, paths, seconds, options), meter)
