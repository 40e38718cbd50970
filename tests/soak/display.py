"""Showing how the run goes: a table that stays in place on a terminal, lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

__all__ = ["Display", "showing"]

_SECONDS_BETWEEN_LINES = 10.0


class Display(Protocol):
    """`say` is for what happens, `show` for how things stand."""

    def say(self, text: str) -> None: ...

    def show(self, phase: str, figures: dict[str, str]) -> None: ...


@contextmanager
def showing(console: Console) -> Iterator[Display]:
    """Show on `console` until the context ends."""
    clock = _Clock()
    if not console.is_terminal:
        yield _Lines(console, clock)
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        yield _Board(console, clock, live)


class _Clock:
    def __init__(self) -> None:
        self._began = time.monotonic()

    def __str__(self) -> str:
        minutes, seconds = divmod(time.monotonic() - self._began, 60)
        return f"{minutes:02.0f}:{seconds:04.1f}"


class _Board:
    def __init__(self, console: Console, clock: _Clock, live: Live) -> None:
        self._console = console
        self._clock = clock
        self._live = live

    def say(self, text: str) -> None:
        self._console.print(f"[dim]{self._clock}[/] {text}", highlight=False)

    def show(self, phase: str, figures: dict[str, str]) -> None:
        table = Table(title=f"{self._clock} {phase}", show_header=False, title_justify="left")
        for name, value in figures.items():
            table.add_row(name, value)
        self._live.update(table)


class _Lines:
    def __init__(self, console: Console, clock: _Clock) -> None:
        self._console = console
        self._clock = clock
        self._next = 0.0

    def say(self, text: str) -> None:
        self._console.print(f"{self._clock} {text}", highlight=False, soft_wrap=True)

    def show(self, phase: str, figures: dict[str, str]) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _SECONDS_BETWEEN_LINES
            self.say(f"{phase}: " + ", ".join(f"{name} {value}" for name, value in figures.items()))
