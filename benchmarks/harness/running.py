"""Running flows one after the other, with a bar that says how long it will take."""

import importlib
from collections.abc import Mapping

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from benchmarks.harness.figures import Figure, Options

__all__ = ["run_flows"]


async def run_flows(flows: Mapping[str, int], options: Options, figures: list[Figure]) -> None:
    """Measure flows and add their figures as they come; the numbers are how many they compare."""
    columns = ("{task.description}", BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    shown = [TextColumn(column) if isinstance(column, str) else column for column in columns]
    with Progress(*shown, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=sum(flows.values()))
        begun = 0
        for name, comparisons in flows.items():
            end = begun + comparisons

            def advance(what: str, end: int = end) -> None:
                step = progress.tasks[0].completed + 1 / (options.windows + 1)
                progress.update(task, description=what, completed=min(end, step))

            progress.update(task, description=name)
            flow = importlib.import_module(f"benchmarks.{name}")
            async for figure in flow.run(options._replace(advance=advance)):
                figures.append(figure)  # noqa: PERF401  # those before an error are kept
            progress.update(task, completed=end)
            begun = end
