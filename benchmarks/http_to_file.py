"""POST, tag, one file per vCon; with and without waiting for the disk."""

from collections.abc import AsyncIterator

from benchmarks.harness.figures import Figure, Options, Sample, compare
from benchmarks.harness.passage import chain_config, echoed, passed
from benchmarks.harness.processes import echo, vconflow

__all__ = ["run"]

LIMIT = "bare Starlette that echoes the body"


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure the flow twice."""
    yield await _measure("http_to_file", options, fsync=True)
    yield await _measure("http_to_file, no fsync", options, fsync=False)


async def _measure(name: str, options: Options, *, fsync: bool) -> Figure:
    config = chain_config("links.tag", {"tags": {"source": "benchmark"}}, storages=["files"])
    config["storages"] = {"files": {"module": "storage.file", "options": {"fsync": fsync}}}

    async def ours(seconds: float) -> Sample:
        return await passed(url, seconds, options)

    async def limit(seconds: float) -> Sample:
        return await echoed(echo_url, seconds, options)

    async with vconflow(config) as url, echo() as echo_url:
        return await compare(name, LIMIT, ours, limit, options)
