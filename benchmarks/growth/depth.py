"""More and more entries that wait on one list."""

from collections.abc import AsyncIterator

from benchmarks.growth.curves import Curves, steps
from benchmarks.harness.cpu import CpuMeter, idle
from benchmarks.harness.figures import Figure, Options
from benchmarks.harness.load import post
from benchmarks.harness.passage import PATH, TAG, below, chain_config, fill, switch, waiting
from benchmarks.harness.processes import Service, vconflow

__all__ = ["run"]

SIZE = 1000
DEEPEST = 1_000_000
AT_ONCE = 20_000


async def run(options: Options) -> AsyncIterator[Figure]:
    """What accepting and processing cost while so many others wait."""
    curves = Curves("depth", "entries waiting", "µs per vCon")
    async with vconflow(chain_config(*TAG)) as service:
        await switch(service, "pause")
        await _accepted(service, options)
        await _processed(service, await waiting(service))
        for number in steps(DEEPEST, options):
            await _fill_up(service, number)
            # Valkey rewrites its file when that has doubled: part of the filling.
            await idle(service.pids)
            accept = await _accepted(service, options)
            process = await _processed(service, await waiting(service) - number)
            curves.add(number, {"accepting": accept, "processing": process})
            options.advance(f"growth: {number:,} waiting")
    for figure in curves.finish(options.plots):
        yield figure


async def _fill_up(service: Service, number: int) -> None:
    while (missing := number - await waiting(service)) > 0:
        await fill(service, min(missing, AT_ONCE), size=SIZE)


async def _accepted(service: Service, options: Options) -> float:
    meter = CpuMeter(service.pids)
    load = await post(service.url, PATH, options.seconds, options, size=SIZE)
    return sum(meter.each(load.requests).values())


async def _processed(service: Service, number: int) -> float:
    """Resume the chain until so many are done, about."""
    start = await waiting(service)
    meter = CpuMeter(service.pids)
    await switch(service, "resume")
    left = await below(service, start - number + 1)
    cost = sum(meter.each(start - left).values())
    await switch(service, "pause")
    return cost
