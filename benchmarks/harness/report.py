"""Showing figures: tables on a terminal, the same in Markdown elsewhere, JSON in a file."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.harness.figures import Figure
from benchmarks.harness.machine import Machine, load_average

__all__ = ["show", "write_json"]

_WIDE = 240


def show(
    figures: Sequence[Figure], machine: Machine, command: str = "", *, markdown: bool = False
) -> None:
    """Print what was measured, and where the time went; `command` is what it was measured with."""
    console, shape = Console(), box.ROUNDED
    if markdown or not console.is_terminal:
        console, shape = Console(width=_WIDE, force_terminal=False), box.MARKDOWN
    console.print(_results(figures, shape))
    if any(figure.cpu for figure in figures):
        console.print("\nWhere each microsecond goes: CPU time per vCon, by process\n")
        console.print(_budget(figures, shape))
    for figure in figures:
        if figure.note:
            console.print(f"{figure.flow}: {figure.note}", highlight=False, soft_wrap=True)
    console.print(f"\n{machine}{command}", highlight=False, soft_wrap=True)
    load = f"load average {machine.load_before} before, {load_average()} after"
    console.print(load, highlight=False)


def write_json(
    figures: Sequence[Figure], machine: Machine, options: dict[str, object], path: Path
) -> None:
    """Write everything, each window included."""
    report = {"machine": machine, "options": options, "figures": figures}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


def _results(figures: Sequence[Figure], shape: box.Box) -> Table:
    names = ("ours", "limit", "ratio", "target", "reached", "p50 ms", "p99 ms")
    table = _table(shape, names)
    table.add_column("the limit is")
    for figure in figures:
        table.add_row(
            figure.flow,
            f"{_number(figure.ours)} {figure.unit}",
            f"{_number(figure.limit)} {figure.unit}",
            f"{figure.ratio:.2f}",
            "" if figure.target is None else str(figure.target),
            {None: "", True: "yes", False: "no"}[figure.reached],
            *("" if value is None else f"{value:.1f}" for value in (figure.p50_ms, figure.p99_ms)),
            figure.limit_is,
        )
    return table


def _budget(figures: Sequence[Figure], shape: box.Box) -> Table:
    processes = list(dict.fromkeys(name for figure in figures for name in figure.cpu))
    names = [f"{name} µs" for name in processes]
    table = _table(shape, ("one each µs", *names, "together µs", "limit µs", "limit / ours"))
    for figure in figures:
        if not figure.cpu:
            continue
        each = [f"{figure.cpu[name]:.1f}" if name in figure.cpu else "" for name in processes]
        table.add_row(
            figure.flow,
            f"{1e6 / figure.ours:.1f}",
            *each,
            f"{sum(figure.cpu.values()):.1f}",
            f"{sum(figure.limit_cpu.values()):.1f}" if figure.limit_cpu else "",
            "" if figure.cpu_ratio is None else f"{figure.cpu_ratio:.2f}",
        )
    return table


def _table(shape: box.Box, names: Sequence[str]) -> Table:
    table = Table(box=shape)
    table.add_column("flow", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.3g}"
