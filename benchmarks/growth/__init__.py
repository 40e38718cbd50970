"""What a vCon costs when there is more of everything: no more than when there is less.

Every curve is CPU time, of the server and its Valkey together, and becomes a plot.
"""

from collections.abc import AsyncIterator

from benchmarks.growth.depth import depth
from benchmarks.growth.sizes import sizes
from benchmarks.growth.spread import chains, lists
from benchmarks.harness.figures import Figure, Options

__all__ = ["run"]


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure all curves."""
    for grow in (depth, chains, sizes, lists):
        for figure in (await grow(options)).finish(options.plots):
            yield figure
