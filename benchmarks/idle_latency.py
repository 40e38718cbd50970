"""From the POST to the egress list when there is nothing else to do."""

from collections.abc import AsyncIterator

from benchmarks.harness.bare_commands import BareCommands
from benchmarks.harness.figures import Figure, Limit, Options, Target, compare
from benchmarks.harness.one_by_one import EGRESS, OneByOne
from benchmarks.harness.passage import TAG, chain_config
from benchmarks.harness.processes import vconflow

__all__ = ["run"]

GROUPED = "the same Redis commands on one connection, one MULTI per step"
SINGLE = "the same Redis commands on one connection, one after the other"
TARGET = Target(3, at_most=True)


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure the flow: milliseconds, one vCon at a time."""
    config = chain_config(*TAG, egress_lists=[EGRESS])
    async with vconflow(config) as service, OneByOne.open(service) as ours:
        single = BareCommands(service.redis, grouped=False)
        grouped = BareCommands(service.redis, grouped=True)
        limits = (
            Limit(SINGLE, single.window, TARGET, "commands"),
            Limit(GROUPED, grouped.window, TARGET, "grouped"),
        )
        async for figure in compare(
            "idle_latency", ours.window, *limits, options=options, unit="ms"
        ):
            yield figure
        single.close()
        grouped.close()
