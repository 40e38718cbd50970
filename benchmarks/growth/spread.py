"""The same load on one list and on many, where there are ever more of them."""

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

from benchmarks.growth.curves import Curves, cost_of, steps
from benchmarks.harness.cpu import idle
from benchmarks.harness.figures import Figure, Options
from benchmarks.harness.passage import TAG, passed
from benchmarks.harness.processes import vconflow

__all__ = ["spread"]

Groups = Sequence[Sequence[str]]
"""The names of the ingress lists of each chain."""


async def spread(
    of: str, largest: int, grouped: Callable[[Sequence[str]], Groups], options: Options
) -> AsyncIterator[Figure]:
    """What a vCon costs with ever more lists, which `grouped` makes into chains."""
    curves = Curves(of, of, "µs per vCon")
    for number in steps(largest, options):
        names = [f"in{serial}" for serial in range(number)]
        async with vconflow(_config(grouped(names))) as service:
            everywhere = partial(passed, service, options=options, lists=names)
            on_one = partial(passed, service, options=options, lists=names[:1])
            await idle(service.pids)
            costs = {
                "load on all of them": await cost_of(everywhere, options),
                "load on one of them": await cost_of(on_one, options),
            }
        curves.add(number, costs)
    for figure in curves.finish(options.plots):
        yield figure


def _config(groups: Groups) -> dict[str, object]:
    module, options = TAG
    chains = {
        f"chain{serial}": {"links": ["tag"], "ingress_lists": list(names)}
        for serial, names in enumerate(groups)
    }
    return {"links": {"tag": {"module": module, "options": options}}, "chains": chains}
