"""From one replica to two: work that waits for others, and work that takes the processor."""

from collections.abc import AsyncIterator

from benchmarks.harness.drain import Drain
from benchmarks.harness.figures import Figure, Limit, Options, Sample, Target, compare
from benchmarks.harness.passage import TAG, chain_config
from benchmarks.harness.processes import vconflow

__all__ = ["run"]

CONCURRENCY = 16
SECONDS = 0.1
EACH = CONCURRENCY / SECONDS
"""vCons per second of one replica, at best."""
ROUNDS = 8
"""How often a window fills all replicas at least."""


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure both."""
    async for figure in _waiting(options):
        yield figure
    async for figure in _working(options):
        yield figure


async def _waiting(options: Options) -> AsyncIterator[Figure]:
    config = chain_config("links.delay", {"seconds": SECONDS}, concurrency=CONCURRENCY)
    async with vconflow(config) as one, vconflow(config, CONSERVER_WORKERS="2") as two:
        single = Drain(one, rate=EACH, least=ROUNDS * CONCURRENCY)
        double = Drain(two, rate=2 * EACH, least=2 * ROUNDS * CONCURRENCY)
        limit = Limit(
            f"one replica: a link of {SECONDS * 1000:g} ms, {CONCURRENCY} at once in each",
            single.window,
            Target(1.8),
        )
        async for figure in compare("replicas, waiting", double.window, limit, options=options):
            yield figure


async def _working(options: Options) -> AsyncIterator[Figure]:
    """CPU time per vCon of the replicas and their supervisor, without that of Valkey."""
    config = chain_config(*TAG)
    async with vconflow(config) as one, vconflow(config, CONSERVER_WORKERS="2") as two:
        single, double = Drain(one), Drain(two)

        async def ours(seconds: float) -> Sample:
            return _cpu(await double.window(seconds))

        async def limit(seconds: float) -> Sample:
            return _cpu(await single.window(seconds))

        what = Limit("one replica", limit, Target(1.15, at_most=True))
        async for figure in compare(
            "replicas, CPU per vCon", ours, what, options=options, unit="µs"
        ):
            yield figure


def _cpu(sample: Sample) -> Sample:
    return Sample(sample.cpu["server"], cpu=sample.cpu)
