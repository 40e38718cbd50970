"""What four storages of 100 ms each cost one vCon, beside one of them."""

from collections.abc import AsyncIterator

from benchmarks.harness.figures import Figure, Limit, Options, Target, compare
from benchmarks.harness.one_by_one import EGRESS, OneByOne
from benchmarks.harness.passage import TAG, chain_config
from benchmarks.harness.processes import vconflow

__all__ = ["run"]

LIMIT = "the same with one such storage"
TARGET = Target(1.15, at_most=True)
SECONDS = 0.1
STORAGES = 4


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure the flow: milliseconds from the POST to the egress list, one vCon at a time."""
    async with (
        vconflow(_config(STORAGES)) as four,
        vconflow(_config(1)) as one,
        OneByOne.open(four) as ours,
        OneByOne.open(one) as limit,
    ):
        bare = Limit(LIMIT, limit.window, TARGET)
        async for figure in compare(
            "http_to_fanout", ours.window, bare, options=options, unit="ms"
        ):
            yield figure


def _config(storages: int) -> dict[str, object]:
    names = [f"slow{number}" for number in range(storages)]
    config = chain_config(*TAG, storages=names, egress_lists=[EGRESS])
    module = "vconflow.testing.slow_storage:SlowStorage"
    config["storages"] = {
        name: {"module": module, "options": {"seconds": SECONDS}} for name in names
    }
    return config
