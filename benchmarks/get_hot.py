"""GET /vcon/{uuid} of vCons that are in Redis."""

from collections.abc import AsyncIterator

import httpx

from benchmarks.harness.cpu import CpuMeter
from benchmarks.harness.documents import fresh
from benchmarks.harness.figures import Figure, Limit, Options, Sample, Target, compare
from benchmarks.harness.load import get, sample_of
from benchmarks.harness.processes import Server, echo, vconflow

__all__ = ["run", "stored_paths"]

LIMIT = "bare Starlette that answers with a body it has in memory"
TARGET = Target(0.6)
VCONS = 256


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure the flow."""
    async with vconflow({"chains": {}}) as service, echo() as bare:
        paths = await stored_paths(service)
        await stored_paths(bare)

        async def ours(seconds: float) -> Sample:
            return await _read(service, paths, seconds, options)

        async def limit(seconds: float) -> Sample:
            return await _read(bare, paths, seconds, options)

        async for figure in compare("get_hot", ours, Limit(LIMIT, limit, TARGET), options=options):
            yield figure


async def _read(server: Server, paths: list[str], seconds: float, options: Options) -> Sample:
    meter = CpuMeter(server.pids)
    return sample_of(await get(server.url, paths, seconds, options), meter)


async def stored_paths(server: Server) -> list[str]:
    """Store vCons and check that each comes back as it went in; their paths."""
    paths = []
    async with httpx.AsyncClient(
        base_url=server.url, headers={"content-type": "application/json"}
    ) as client:
        for uuid, document in fresh(VCONS):
            (await client.post("/vcon", content=document)).raise_for_status()
            path = f"/vcon/{uuid}"
            if (await client.get(path)).content != document:
                raise RuntimeError(f"{path} is not what was sent")
            paths.append(path)
    return paths
