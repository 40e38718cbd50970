"""Showing on stderr how a submission goes: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import rich.progress
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.text import Text

from vconflow.cli.sources import Found
from vconflow.cli.submission import Observer, Rejection, Tally

__all__ = ["describe", "showing"]

_SECONDS_BETWEEN_LINES: Final = 5.0


@contextmanager
def showing(total_bytes: int, console: Console) -> Iterator[Observer]:
    """Show progress on `console` until the context ends, and every rejection as it happens."""
    if not console.is_terminal:
        yield _Lines(total_bytes, console)
        return
    bar = Progress(
        rich.progress.BarColumn(),
        rich.progress.TaskProgressColumn(),
        rich.progress.TextColumn("{task.fields[accepted]:,} accepted"),
        rich.progress.TextColumn("[red]{task.fields[rejected]:,} rejected"),
        rich.progress.TextColumn("{task.fields[rate]:,.0f}/s"),
        rich.progress.TextColumn("ETA"),
        rich.progress.TimeRemainingColumn(),
        console=console,
    )
    with bar:
        yield _Bar(bar, total_bytes)


def describe(rejection: Rejection) -> str:
    """Return a rejection on one line."""
    status = f"{rejection.status} " if rejection.status else ""
    return f"{rejection.place}: {status}{rejection.detail}"


class _Rate:
    def __init__(self) -> None:
        self._began = time.monotonic()

    def of(self, count: int) -> float:
        return count / max(time.monotonic() - self._began, 1e-6)


class _Bar:
    """Progress goes by bytes, since nobody knows how many lines a file has."""

    def __init__(self, bar: Progress, total_bytes: int) -> None:
        self._bar = bar
        self._rate = _Rate()
        self._task = bar.add_task("", total=total_bytes, accepted=0, rejected=0, rate=0.0)

    def done(self, found: Found, tally: Tally, rejection: Rejection | None) -> None:
        if rejection is not None:
            self._bar.console.print(Text(f"rejected {describe(rejection)}", "red"))
        self._bar.update(
            self._task,
            advance=found.size,
            accepted=tally.accepted,
            rejected=tally.rejected,
            rate=self._rate.of(tally.accepted + tally.rejected),
        )


class _Lines:
    def __init__(self, total_bytes: int, console: Console) -> None:
        self._total = max(total_bytes, 1)
        self._console = console
        self._rate = _Rate()
        self._bytes = 0
        self._next = time.monotonic() + _SECONDS_BETWEEN_LINES

    def done(self, found: Found, tally: Tally, rejection: Rejection | None) -> None:
        self._bytes += found.size
        if rejection is not None:
            self._say(f"rejected {describe(rejection)}")
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _SECONDS_BETWEEN_LINES
            count = tally.accepted + tally.rejected
            self._say(
                f"{self._bytes / self._total:.0%}: {tally.accepted:,} accepted, "
                f"{tally.rejected:,} rejected, {self._rate.of(count):,.0f}/s"
            )

    def _say(self, line: str) -> None:
        self._console.print(escape(line), soft_wrap=True, highlight=False)
