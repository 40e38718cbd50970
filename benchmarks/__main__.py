"""`python -m benchmarks [FLOW ...]`: measure, and show the figures."""

import sys
from pathlib import Path

import click
import uvloop

from benchmarks.harness.figures import Figure, Options
from benchmarks.harness.load import choose_generator
from benchmarks.harness.machine import describe_machine
from benchmarks.harness.report import show, write_json
from benchmarks.harness.running import run_flows
from vconflow.telemetry import log

FLOWS = {
    "http_to_stream": 3,
    "get_hot": 1,
    "get_miss": 1,
    "chain": 4,
    "http_to_file": 3,
    "http_to_postgres": 2,
    "http_to_fanout": 1,
    "accept_and_process": 1,
    "latency": 1,
    "io_bound_link": 2,
    "idle_latency": 1,
    "model": 2,
    "replicas": 2,
    "start": 1,
    "storages": 2,
    "soak_memory": 10,
    "growth.depth": 5,
    "growth.chains": 10,
    "growth.sizes": 5,
    "growth.lists": 10,
}
"""All of them in the order of a full run, and how many comparisons each takes, about."""
LONG = (
    *("storages", "soak_memory"),
    *("growth.depth", "growth.chains", "growth.sizes", "growth.lists"),
)
"""Those that take so long that they have to be named."""
DEFAULT = Options()
QUICK = {"seconds": 1.0, "windows": 3}


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
@click.option("--quick", is_flag=True, help="Three windows of one second: a first impression.")
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
    "--scale",
    type=click.FloatRange(0, 1, min_open=True),
    default=DEFAULT.scale,
    help="What part of their largest sizes growth and soak_memory go up to; 1 takes long.",
)
@click.option(
    "--plots",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT.plots,
    show_default="benchmarks/plots",
    help="The folder of the curves of growth.",
)
@click.option("--markdown", is_flag=True, help="Print the tables of the README on a terminal too.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the figures of every window to this file too.",
)
def main(
    flows: tuple[str, ...],
    quick: bool,
    markdown: bool,
    json_file: Path | None,
    **choices: object,
) -> None:
    """Measure the named flows, by default all but the last six, which take long.

    The flows: http_to_stream, get_hot, get_miss, chain, http_to_file, http_to_postgres,
    http_to_fanout, accept_and_process, latency, io_bound_link, idle_latency, model, replicas,
    start, storages, soak_memory, growth.depth, growth.chains, growth.sizes, growth.lists
    """
    log.configure("error")
    options = Options(**choices | (QUICK if quick else {}))  # type: ignore[arg-type]  # by click
    machine = describe_machine(choose_generator(options))
    command = "".join(f" {argument}" for argument in sys.argv[1:])
    figures: list[Figure] = []
    try:
        chosen = flows or [flow for flow in FLOWS if flow not in LONG]
        uvloop.run(run_flows({flow: FLOWS[flow] for flow in chosen}, options, figures))
    finally:
        # What was measured before an error is still worth something.
        show(figures, machine, f"; `{command.strip()}`" if command else "", markdown=markdown)
        if json_file is not None:
            write_json(figures, machine, options.as_dict(), json_file)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
