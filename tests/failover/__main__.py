"""`python -m tests.failover`: kill masters under load, with and without a confirming replica."""

import asyncio
import sys
import tempfile
from pathlib import Path
from statistics import median

import click
from rich.console import Console
from rich.table import Table

from vconflow.telemetry import log

from .trial import Case, Trial, kill_master

COLUMNS = (
    "VCONFLOW_DURABILITY",
    "replica behind",
    "kills",
    "accepted",
    "lost",
    "kills with losses",
    "accepted/s",
    "promoted after",
)


@click.command(context_settings={"show_default": True})
@click.option("--kills", type=click.IntRange(1), default=20, help="Of each case.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    help="How long vCons are accepted before each kill.",
)
@click.option(
    "--lag",
    "lags",
    type=click.FloatRange(0),
    default=(0, 5),
    multiple=True,
    help="Milliseconds that the replica is behind; repeatable.",
)
def main(kills: int, seconds: float, lags: tuple[float, ...]) -> None:
    """Kill the master of a Sentinel pair under load, and count accepted vCons that are lost.

    Ends with 1 when one is lost that a replica had confirmed.
    """
    log.configure("CRITICAL")
    console, table = Console(), Table(*COLUMNS)
    broken = False
    cases = [Case(name, lag / 1000) for lag in lags for name in ("", "replicated")]
    for case in cases:
        trials = asyncio.run(_trials(case, kills, seconds, console))
        table.add_row(*_row(case, trials))
        broken |= case.durability == "replicated" and any(trial.lost for trial in trials)
    console.print(table)
    sys.exit(1 if broken else 0)


async def _trials(case: Case, kills: int, seconds: float, console: Console) -> list[Trial]:
    trials = []
    for number in range(kills):
        with tempfile.TemporaryDirectory(prefix="vcf-failover-") as folder:
            trial = await kill_master(Path(folder), case, seconds)
        trials.append(trial)
        found = f"{trial.accepted} accepted, {trial.lost} lost"
        console.print(f"{case.durability or 'unset'}, kill {number + 1}: {found}", highlight=False)
    return trials


def _row(case: Case, trials: list[Trial]) -> list[str]:
    accepted, lost = (sum(it.accepted for it in trials), sum(it.lost for it in trials))
    return [
        case.durability or "unset",
        f"{case.lag * 1000:.0f} ms" if case.lag else "not held up",
        str(len(trials)),
        f"{accepted:,}",
        f"{lost:,}",
        str(sum(bool(trial.lost) for trial in trials)),
        f"{median(trial.rate for trial in trials):,.0f}",
        f"{median(trial.promoted for trial in trials):.1f} s",
    ]


if __name__ == "__main__":
    main()
