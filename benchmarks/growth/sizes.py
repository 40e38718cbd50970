"""Larger and larger vCons."""

from collections.abc import AsyncIterator
from functools import partial

from benchmarks.growth.curves import Curves, cost_of, steps
from benchmarks.harness.figures import Figure, Options, Target
from benchmarks.harness.passage import TAG, chain_config, forget, passed
from benchmarks.harness.processes import vconflow

__all__ = ["run"]

LARGEST_KB = 20_000
UNDER_WAY_KB = 4_000
"""Few clients where vCons are large: else much of a window goes into what comes too late."""
KB_PER_SECOND = 2_000
"""A window is long enough for one vCon even at this pace."""
TARGET = Target(1, at_most=True)
"""A kB of a large vCon has no part of what each vCon costs whatever its size."""


async def run(options: Options) -> AsyncIterator[Figure]:
    """What accepting and processing cost per kB of a vCon."""
    curves = Curves("size", "kB per vCon", "µs per kB", TARGET)
    async with vconflow(chain_config(*TAG)) as service:
        for size in steps(LARGEST_KB, options):
            connections = max(1, min(options.connections, UNDER_WAY_KB // size))
            narrowed = options._replace(connections=connections)
            measure = partial(passed, service, options=narrowed, size=1000 * size)
            long = options._replace(seconds=max(options.seconds, size / KB_PER_SECOND))
            cost = await cost_of(measure, long)
            curves.add(size, {"accepting and processing": cost / size})
            await forget(service)
    for figure in curves.finish(options.plots):
        yield figure
