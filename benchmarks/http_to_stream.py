"""POST /vcon until it is safe in the stream: validation, document, index and entry, synced."""

from collections.abc import AsyncIterator

import httpx

from benchmarks.harness.figures import Figure, Options, Sample, compare
from benchmarks.harness.load import post
from benchmarks.harness.passage import PATH, chain_config, echoed
from benchmarks.harness.processes import echo, vconflow

__all__ = ["run"]

LIMIT = "bare Starlette that echoes the body"
# One entry is read and held for a day; from then on only the way in is at work.
CONFIG = chain_config("links.delay", {"seconds": 86400}, concurrency=1)


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure the flow."""

    async def ours(seconds: float) -> Sample:
        return await _accepted(url, seconds, options)

    async def limit(seconds: float) -> Sample:
        return await echoed(echo_url, seconds, options)

    async with vconflow(CONFIG) as url, echo() as echo_url:
        yield await compare("http_to_stream", LIMIT, ours, limit, options)


async def _accepted(url: str, seconds: float, options: Options) -> Sample:
    before = await _depth(url)
    load = await post(url, PATH, seconds, options)
    arrived = await _depth(url) - before
    # The entry that is held is no longer waiting.
    if arrived < load.requests - 1:
        raise RuntimeError(f"{load.requests} were accepted, but {arrived} are on the list")
    return Sample(load.rate, load.p50_ms, load.p99_ms)


async def _depth(url: str) -> int:
    async with httpx.AsyncClient(base_url=url) as client:
        reply = await client.get("/stats/queue", params={"list_name": "in"})
        depth: int = reply.raise_for_status().json()["depth"]
        return depth
