"""`python -m benchmarks.check`: whether a vCon costs much more than when that was last recorded.

CPU time of the server and its Valkey is compared with that of a bare Starlette in the same run:
what else the machine is doing changes both, and rates much more than either.
"""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import click
import msgspec
import uvloop

from benchmarks import chain, get_hot, http_to_stream
from benchmarks.harness.figures import Figure, Options
from benchmarks.harness.load import choose_generator
from benchmarks.harness.machine import Machine, describe_machine
from benchmarks.harness.report import show
from vconflow.telemetry import log

__all__ = ["MARGIN", "Recorded", "regressions"]

RECORDED = Path(__file__).with_name("recorded.json")
MARGIN = 0.6
"""A ratio below this part of the recorded one is a regression, not noise."""
OPTIONS = Options(seconds=1.0, windows=5)
_TRIES = 2


class Recorded(msgspec.Struct, frozen=True):
    """What was measured when it was recorded, per figure: CPU time of the limit by ours.

    The ratios of the rates are only for people to read.
    """

    machine: Machine
    margin: float
    cpu_ratios: dict[str, float]
    ratios: dict[str, float]


@click.command()
@click.option("--record", is_flag=True, help="Make what is measured now the one to compare with.")
def main(record: bool) -> None:
    """Measure a few flows and end with 1 if one costs much more CPU than recorded."""
    log.configure("error")
    if record:
        _record()
        return
    recorded = msgspec.json.decode(RECORDED.read_bytes(), type=Recorded)
    for _ in range(_TRIES):
        found = regressions(_cpu_ratios(_measure()[0]), recorded)
        for complaint in found:
            print(complaint, file=sys.stderr)
        # A second time rules out most of what the first may have met with.
        if not found:
            return
    raise SystemExit(1)


def regressions(measured: Mapping[str, float], recorded: Recorded) -> list[str]:
    """What is to be said against the ratios that were measured, by the names of the figures."""
    found = [f"{name}: not measured" for name in recorded.cpu_ratios.keys() - measured.keys()]
    for name, ratio in measured.items():
        least = recorded.margin * recorded.cpu_ratios.get(name, 0.0)
        if ratio < least:
            found.append(f"{name}: CPU ratio {ratio:.3f}, must be at least {least:.3f}")
    return sorted(found)


def _record() -> None:
    figures, machine = _measure()
    cpu_ratios, ratios = _cpu_ratios(figures), {figure.flow: figure.ratio for figure in figures}
    rounded = [{name: round(value, 3) for name, value in it.items()} for it in (cpu_ratios, ratios)]
    recorded = Recorded(machine, MARGIN, *rounded)
    RECORDED.write_bytes(msgspec.json.format(msgspec.json.encode(recorded)) + b"\n")


def _measure() -> tuple[Sequence[Figure], Machine]:
    machine = describe_machine(choose_generator(OPTIONS))
    figures = uvloop.run(_figures(OPTIONS))
    show(figures, machine)
    return figures, machine


def _cpu_ratios(figures: Sequence[Figure]) -> dict[str, float]:
    return {figure.flow: figure.cpu_ratio for figure in figures if figure.cpu_ratio}


async def _figures(options: Options) -> Sequence[Figure]:
    figures = []
    for flow in (http_to_stream.always, get_hot.run, partial(chain.synced, "always")):
        figures += [figure async for figure in flow(options)]
    return figures


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.check")
