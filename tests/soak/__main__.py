"""`python -m tests.soak`: minutes of load under faults; ends with 1 when a promise was broken."""

import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click
from rich.console import Console

from vconflow.telemetry import log

from .display import showing
from .options import Options
from .report import make_report, show, write
from .run import Soaked, soak

DEFAULT = Options()


@click.command(context_settings={"show_default": True})
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    default=DEFAULT.seconds / 60,
    help="How long load and faults last.",
)
@click.option("--seed", type=int, default=DEFAULT.seed, help="What the faults are drawn from.")
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), default=DEFAULT.rate, help="vCons a second."
)
@click.option("--burst", type=click.IntRange(1), default=DEFAULT.burst, help="vCons in a burst.")
@click.option(
    "--replicas", type=click.IntRange(2, 9), default=DEFAULT.replicas, help="How many processes."
)
@click.option(
    "--gap",
    "mean_gap",
    type=click.FloatRange(0, min_open=True),
    default=DEFAULT.mean_gap,
    help="Seconds between two faults, on average.",
)
@click.option(
    "--settle",
    type=click.FloatRange(0, min_open=True),
    default=DEFAULT.settle,
    help="Seconds that the system gets to settle when the faults are over.",
)
@click.option(
    "--report",
    "report_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the report to this file as Markdown, and beside it as JSON.",
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep configuration, logs and stored vCons in this folder, which must be empty.",
)
def main(minutes: float, report_file: Path | None, keep: Path | None, **choices: object) -> None:
    """Load real servers, strike them with random faults, and account for every vCon.

    Ends with 1 when a vCon was lost, a process ended by itself, memory is not flat, or something
    else happened that must not.
    """
    log.configure("ERROR")
    options = Options(seconds=minutes * 60, **choices)  # type: ignore[arg-type]  # by click
    report = make_report(_run(options, keep))
    show(report, Console())
    if report_file is not None:
        write(report, report_file)
    sys.exit(1 if report.failures else 0)


def _run(options: Options, keep: Path | None) -> Soaked:
    with ExitStack() as stack:
        name = keep or stack.enter_context(tempfile.TemporaryDirectory(prefix="vcf-soak-"))
        folder = Path(name).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise click.UsageError(f"{folder} is not empty")
        display = stack.enter_context(showing(Console(stderr=True)))
        return asyncio.run(soak(options, folder, display))


if __name__ == "__main__":
    main(prog_name="python -m tests.soak")
