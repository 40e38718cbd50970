"""More and more chains, each with a list of its own."""

from collections.abc import AsyncIterator

from benchmarks.growth.spread import spread
from benchmarks.harness.figures import Figure, Options

__all__ = ["run"]

MOST = 500


def run(options: Options) -> AsyncIterator[Figure]:
    """Measure the curves."""
    return spread("chains", MOST, lambda names: [[name] for name in names], options)
