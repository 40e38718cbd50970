"""A chain whose link waits 100 ms for something else, 1,000 vCons at a time."""

from collections.abc import AsyncIterator

from benchmarks.harness.drain import Drain
from benchmarks.harness.figures import Figure, Limit, Options, Sample, Target, compare
from benchmarks.harness.passage import chain_config
from benchmarks.harness.processes import vconflow

__all__ = ["run"]

TARGET = Target(0.9)
CONCURRENCY = 1000
SECONDS = 0.1
IDEAL = CONCURRENCY / SECONDS
LIMIT = f"the same chain with 0 ms, at most the ideal {IDEAL:,.0f}/s"


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure the flow."""
    async with vconflow(_config(SECONDS)) as waiting, vconflow(_config(0)) as busy:
        # Enough for a few times as many as are under way at once, unless it is only a trial.
        least = int(4 * CONCURRENCY * min(1.0, options.seconds))
        ours, other = Drain(waiting, IDEAL, least), Drain(busy, IDEAL, least)

        async def limit(seconds: float) -> Sample:
            sample = await other.window(seconds)
            return Sample(min(IDEAL, sample.value), cpu=sample.cpu)

        async for figure in compare(
            "io_bound_link", ours.window, Limit(LIMIT, limit, TARGET), options=options
        ):
            yield figure


def _config(seconds: float) -> dict[str, object]:
    return chain_config("links.delay", {"seconds": seconds}, concurrency=CONCURRENCY)
