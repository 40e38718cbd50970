"""GET /vcon/{uuid} of vCons that are in Redis."""

from collections.abc import AsyncIterator

import httpx

from benchmarks.harness.documents import fresh
from benchmarks.harness.figures import Figure, Options, Sample, compare
from benchmarks.harness.load import get
from benchmarks.harness.processes import echo, vconflow

__all__ = ["run"]

LIMIT = "bare Starlette that answers with a body it has in memory"
VCONS = 256


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure the flow."""
    async with vconflow({"chains": {}}) as url, echo() as echo_url:
        paths = await _fill(url)
        await _fill(echo_url)

        async def ours(seconds: float) -> Sample:
            return await _read(url, paths, seconds, options)

        async def limit(seconds: float) -> Sample:
            return await _read(echo_url, paths, seconds, options)

        yield await compare("get_hot", LIMIT, ours, limit, options)


async def _read(url: str, paths: list[str], seconds: float, options: Options) -> Sample:
    load = await get(url, paths, seconds, options)
    return Sample(load.rate, load.p50_ms, load.p99_ms)


async def _fill(url: str) -> list[str]:
    """Store vCons and check that each comes back as it went in; their paths."""
    paths = []
    async with httpx.AsyncClient(
        base_url=url, headers={"content-type": "application/json"}
    ) as client:
        for uuid, document in fresh(VCONS):
            (await client.post("/vcon", content=document)).raise_for_status()
            path = f"/vcon/{uuid}"
            if (await client.get(path)).content != document:
                raise RuntimeError(f"{path} is not what was sent")
            paths.append(path)
    return paths
