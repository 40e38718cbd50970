"""Showing on stderr how something goes: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import rich.progress
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.text import Text

from vconflow.cli.sources import Found
from vconflow.cli.submission import Observer, Rejection, Tally

__all__ = ["Counter", "counting", "describe", "showing"]

_SECONDS_BETWEEN_LINES: Final = 5.0


@contextmanager
def showing(total_bytes: int, console: Console) -> Iterator[Observer]:
    """Show progress on `console` until the context ends, and every rejection as it happens."""
    if not console.is_terminal:
        yield _Lines(total_bytes, console)
        return
    counts = "{task.fields[accepted]:,} accepted", "[red]{task.fields[rejected]:,} rejected"
    with _progress(console, *counts) as bar:
        yield _Bar(bar, total_bytes)


@contextmanager
def counting(total: int, verb: str, console: Console) -> Iterator["Counter"]:
    """Show on `console` how many of `total` were looked at, and how many were e.g. `replayed`."""
    if not console.is_terminal:
        yield _CountLines(total, verb, console)
        return
    with _progress(console, "{task.fields[moved]:,} " + verb) as bar:
        yield _CountBar(bar, total)


class Counter(Protocol):
    """Is told how many more were looked at, and how many of these were moved."""

    def add(self, scanned: int, moved: int) -> None: ...


def _progress(console: Console, *counts: str) -> Progress:
    return Progress(
        rich.progress.BarColumn(),
        rich.progress.TaskProgressColumn(),
        *map(rich.progress.TextColumn, counts),
        rich.progress.TextColumn("{task.fields[rate]:,.0f}/s"),
        rich.progress.TextColumn("ETA"),
        rich.progress.TimeRemainingColumn(),
        console=console,
    )


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


class _CountBar:
    def __init__(self, bar: Progress, total: int) -> None:
        self._bar = bar
        self._rate = _Rate()
        self._scanned = self._moved = 0
        self._task = bar.add_task("", total=total, moved=0, rate=0.0)

    def add(self, scanned: int, moved: int) -> None:
        self._scanned += scanned
        self._moved += moved
        rate = self._rate.of(self._scanned)
        self._bar.update(self._task, advance=scanned, moved=self._moved, rate=rate)


class _TimedLines:
    """Lines on a console, some of them only now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = time.monotonic() + _SECONDS_BETWEEN_LINES

    def is_due(self) -> bool:
        """Whether it is time for a line; then the time begins anew."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + _SECONDS_BETWEEN_LINES
        return True

    def say(self, line: str) -> None:
        """Print a line."""
        self._console.print(escape(line), soft_wrap=True, highlight=False)


class _CountLines:
    def __init__(self, total: int, verb: str, console: Console) -> None:
        self._total = max(total, 1)
        self._verb = verb
        self._lines = _TimedLines(console)
        self._rate = _Rate()
        self._scanned = self._moved = 0

    def add(self, scanned: int, moved: int) -> None:
        self._scanned += scanned
        self._moved += moved
        if self._lines.is_due():
            share, rate = self._scanned / self._total, self._rate.of(self._scanned)
            self._lines.say(f"{share:.0%}: {self._moved:,} {self._verb}, {rate:,.0f}/s")


class _Lines:
    def __init__(self, total_bytes: int, console: Console) -> None:
        self._total = max(total_bytes, 1)
        self._lines = _TimedLines(console)
        self._rate = _Rate()
        self._bytes = 0

    def done(self, found: Found, tally: Tally, rejection: Rejection | None) -> None:
        self._bytes += found.size
        if rejection is not None:
            self._lines.say(f"rejected {describe(rejection)}")
        if self._lines.is_due():
            count = tally.accepted + tally.rejected
            self._lines.say(
                f"{self._bytes / self._total:.0%}: {tally.accepted:,} accepted, "
                f"{tally.rejected:,} rejected, {self._rate.of(count):,.0f}/s"
            )
