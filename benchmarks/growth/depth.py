"""More and more entries that wait on one list."""

import asyncio
import time

from benchmarks.growth.curves import Curves
from benchmarks.harness.cpu import CpuMeter
from benchmarks.harness.figures import Options
from benchmarks.harness.load import post
from benchmarks.harness.passage import PATH, TAG, chain_config, fill, switch, waiting
from benchmarks.harness.processes import Service, vconflow

__all__ = ["depth"]

SIZE = 1000
DEPTHS = (1, 10, 100, 1_000, 10_000, 100_000)
EXTREME = 1_000_000
AT_ONCE = 20_000
_LOOK_SECONDS = 0.005
_PATIENCE_SECONDS = 60.0


async def depth(options: Options) -> Curves:
    """What accepting and processing cost while so many others wait."""
    curves = Curves("depth", "entries waiting", "µs per vCon")
    most = EXTREME if options.full else int(min(DEPTHS[-1], DEPTHS[-1] * options.seconds))
    async with vconflow(chain_config(*TAG)) as service:
        await switch(service, "pause")
        await _accepted(service, options)
        await _processed(service, await waiting(service))
        for number in (*DEPTHS, EXTREME):
            if number <= most:
                await _fill_up(service, number)
                accept = await _accepted(service, options)
                process = await _processed(service, await waiting(service) - number)
                curves.add(number, {"accepting": accept, "processing": process})
                options.advance(f"growth: {number:,} waiting")
    return curves


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
    await switch(service, "resume")
    first = await _below(service, start)
    meter = CpuMeter(service.pids)
    last = await _below(service, start - number + 1)
    cost = sum(meter.each(first - last).values()) if first > last else 0.0
    await switch(service, "pause")
    await _below(service, start - number + 1)
    if not cost:
        raise RuntimeError("the list was empty before it could be watched")
    return cost


async def _below(service: Service, number: int) -> int:
    give_up = time.perf_counter() + _PATIENCE_SECONDS
    while (left := await waiting(service)) >= number:
        if time.perf_counter() > give_up:
            raise RuntimeError(f"nothing moves any more, {left} are on the list")
        await asyncio.sleep(_LOOK_SECONDS)
    return left
