"""More and more lists of one chain."""

from collections.abc import AsyncIterator

from benchmarks.growth.spread import spread
from benchmarks.harness.figures import Figure, Options

__all__ = ["run"]

MOST = 10_000


def run(options: Options) -> AsyncIterator[Figure]:
    """Measure the curves."""
    return spread("lists", MOST, lambda names: [names], options)
