"""`python -m benchmarks [FLOW ...]`: measure, and show the figures."""

import importlib
from pathlib import Path

import click
import uvloop
from rich.console import Console

from benchmarks.harness.figures import Figure, Options
from benchmarks.harness.load import choose_generator
from benchmarks.harness.machine import describe_machine
from benchmarks.harness.report import show, write_json
from vconflow.telemetry import log

FLOWS = ("http_to_stream", "http_to_file", "http_to_postgres", "get_hot", "chain", "model")
DEFAULT = Options()


@click.command(context_settings={"show_default": True})
@click.argument("flows", nargs=-1, type=click.Choice(FLOWS), metavar="[FLOW]...")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=DEFAULT.seconds,
    help="The length of one window; wrk rounds it up to whole seconds.",
)
@click.option(
    "--windows",
    type=click.IntRange(1),
    default=DEFAULT.windows,
    help="How many windows of each side.",
)
@click.option(
    "--connections",
    type=click.IntRange(1),
    default=DEFAULT.connections,
    help="How many clients send at the same time.",
)
@click.option(
    "--generator",
    type=click.Choice(["auto", "wrk", "python"]),
    default=DEFAULT.generator,
    help="What makes the HTTP load; auto is wrk if it is installed.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the figures of every window to this file too.",
)
def main(flows: tuple[str, ...], json_file: Path | None, **choices: object) -> None:
    """Measure the named flows, by default all of them, each beside its limit.

    The flows: http_to_stream, http_to_file, http_to_postgres, get_hot, chain, model.
    """
    log.configure("error")
    options = Options(**choices)  # type: ignore[arg-type]  # click has converted them
    machine = describe_machine(choose_generator(options))
    figures: list[Figure] = []
    try:
        uvloop.run(_measure(flows or FLOWS, options, figures))
    finally:
        # What was measured before an error is still worth something.
        show(figures, machine)
    if json_file is not None:
        write_json(figures, machine, options._asdict(), json_file)


async def _measure(flows: tuple[str, ...], options: Options, figures: list[Figure]) -> None:
    progress = Console(stderr=True)
    for name in flows:
        with progress.status(f"measuring {name}"):
            flow = importlib.import_module(f"benchmarks.{name}")
            async for figure in flow.run(options):
                figures.append(figure)  # noqa: PERF401  # those before an error are kept


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
