"""POST /vcon until it is safe in the stream: validation, document, index and entry, on disk."""

from collections.abc import AsyncIterator

from benchmarks.harness.cpu import CpuMeter
from benchmarks.harness.documents import SIZE
from benchmarks.harness.figures import Figure, Limit, Options, Sample, Target, compare
from benchmarks.harness.load import post, sample_of
from benchmarks.harness.passage import PATH, TAG, chain_config, echoed, forget, switch, waiting
from benchmarks.harness.processes import Service, echo, vconflow

__all__ = ["always", "run"]

LIMIT = "bare Starlette that echoes the body"
LARGE = 20_000


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure the flow with both ways of syncing, and with larger vCons."""
    everysec = _measure("http_to_stream, everysec", "everysec", SIZE, Target(0.5), options)
    larger = _measure("http_to_stream, 20 kB", "everysec", LARGE, Target(0.35), options)
    for figures in (everysec, always(options), larger):
        async for figure in figures:
            yield figure


def always(options: Options) -> AsyncIterator[Figure]:
    """Measure it with every vCon on disk before it is accepted, as by default."""
    return _measure("http_to_stream, always", "always", SIZE, Target(0.4), options)


async def _measure(
    name: str, fsync: str, size: int, target: Target, options: Options
) -> AsyncIterator[Figure]:
    async def ours(seconds: float) -> Sample:
        return await _accepted(service, seconds, options, size)

    async def limit(seconds: float) -> Sample:
        return await echoed(bare, seconds, options, size=size)

    async with vconflow(chain_config(*TAG), fsync=fsync) as service, echo() as bare:
        # The chain reads nothing, so that only the way in is at work.
        await switch(service, "pause")
        async for figure in compare(name, ours, Limit(LIMIT, limit, target), options=options):
            yield figure


async def _accepted(service: Service, seconds: float, options: Options, size: int) -> Sample:
    meter = CpuMeter(service.pids)
    load = await post(service.url, PATH, seconds, options, size=size)
    sample = sample_of(load, meter)
    if (arrived := await waiting(service)) < load.requests:
        raise RuntimeError(f"{load.requests} were accepted, but {arrived} are on the list")
    await forget(service)
    return sample
