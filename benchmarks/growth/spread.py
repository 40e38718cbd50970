"""More and more chains, and more and more lists."""

from collections.abc import Sequence
from functools import partial

from benchmarks.growth.curves import Curves, cost_of, steps
from benchmarks.harness.figures import Options
from benchmarks.harness.passage import TAG, passed
from benchmarks.harness.processes import vconflow

__all__ = ["chains", "lists"]

MOST_CHAINS = 500
MOST_LISTS = 10_000


async def chains(options: Options) -> Curves:
    """What a vCon costs with so many chains of one list each."""
    curves = Curves("chains", "chains", "µs per vCon")
    for number in steps(MOST_CHAINS, options):
        names = _names(number)
        await _measure(curves, _config([[name] for name in names]), names, options)
    return curves


async def lists(options: Options) -> Curves:
    """What a vCon costs with so many lists of one chain."""
    curves = Curves("lists", "lists", "µs per vCon")
    for number in steps(MOST_LISTS, options):
        names = _names(number)
        await _measure(curves, _config([names]), names, options)
    return curves


async def _measure(
    curves: Curves, config: dict[str, object], names: Sequence[str], options: Options
) -> None:
    paths = [f"/vcon?ingress_lists={name}" for name in names]
    async with vconflow(config) as service:
        spread = await cost_of(partial(passed, service, options=options, paths=paths), options)
        one = await cost_of(partial(passed, service, options=options, paths=paths[0]), options)
        curves.add(len(names), {"load on all of them": spread, "load on one of them": one})


def _names(number: int) -> list[str]:
    return [f"in{serial}" for serial in range(number)]


def _config(groups: Sequence[Sequence[str]]) -> dict[str, object]:
    module, options = TAG
    chains = {
        f"chain{serial}": {"links": ["tag"], "ingress_lists": list(names)}
        for serial, names in enumerate(groups)
    }
    return {"links": {"tag": {"module": module, "options": options}}, "chains": chains}
