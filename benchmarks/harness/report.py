"""Showing figures: a table on a terminal, the same in Markdown elsewhere, JSON in a file."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.harness.figures import Figure
from benchmarks.harness.machine import Machine, load_average

__all__ = ["show", "write_json"]

_WIDE = 200


def show(figures: Sequence[Figure], machine: Machine) -> None:
    """Print what was measured."""
    console, table = Console(), Table(box=box.ROUNDED)
    if not console.is_terminal:
        console, table = Console(width=_WIDE), Table(box=box.MARKDOWN)
    table.add_column("flow", no_wrap=True)
    for name in ("ours /s", "limit /s", "ratio", "µs each", "p50 ms", "p99 ms"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("the limit is")
    for figure in figures:
        table.add_row(*_cells(figure))
    console.print(table)
    console.print(f"{machine}", highlight=False, soft_wrap=True)
    load = f"load average {machine.load_before} before, {load_average()} after"
    console.print(load, highlight=False)


def write_json(
    figures: Sequence[Figure], machine: Machine, options: dict[str, object], path: Path
) -> None:
    """Write everything, each window included."""
    report = {"machine": machine, "options": options, "figures": figures}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


def _cells(figure: Figure) -> list[str]:
    return [
        figure.flow,
        f"{figure.ours:,.0f}",
        f"{figure.limit:,.0f}",
        f"{figure.ratio:.2f}",
        f"{figure.microseconds:,.1f}",
        *("" if value is None else f"{value:.1f}" for value in (figure.p50_ms, figure.p99_ms)),
        figure.limit_is,
    ]
