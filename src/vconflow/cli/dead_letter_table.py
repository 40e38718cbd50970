"""Printing dead letters."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import click
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["list_letters", "show_letter"]


async def list_letters(
    letters: AsyncGenerator[dict[str, Any], None], most: int | None, *, as_json: bool
) -> bool:
    """Print at most `most`: JSON or plain lines as they come, or a table on a terminal.

    Returns whether there are more.
    """
    console = Console()
    table = _table() if console.is_terminal and not as_json else None
    count, more = 0, False
    async with aclosing(letters):
        async for letter in letters:
            if count == most:
                more = True
                break
            count += 1
            if as_json:
                click.echo(msgspec.json.encode(letter))
            elif table is None:
                click.echo("\t".join(_fields(letter)))
            else:
                table.add_row(*map(Text, _row(letter)))
    if not count and not as_json:
        click.echo("no dead letters", err=True)
    elif table is not None:
        console.print(table)
    return more


def show_letter(letter: dict[str, Any], *, as_json: bool) -> None:
    """Print all about one letter."""
    if as_json:
        click.echo(msgspec.json.encode(letter))
        return
    traceback = letter.pop("traceback", "")
    width = max(map(len, letter))
    for name, value in letter.items():
        if value not in (None, ""):
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            click.echo(f"{name:{width}}  {_line(text)}")
    for line in str(traceback).splitlines():
        click.echo(f"  {_line(line)}")


def _table() -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    # What was cut could not be given to the other commands, so these need the width.
    table.add_column("id\nuuid", no_wrap=True)
    table.add_column("stage\nchain", overflow="fold")
    table.add_column("last failure, attempts\nerror", overflow="fold")
    return table


def _row(letter: dict[str, Any]) -> tuple[str, str, str]:
    letter_id, uuid, chain, stage, attempts, failed, error = _fields(letter)
    return f"{letter_id}\n{uuid}", f"{stage}\n{chain}", f"{failed}, {attempts}\n{error}"


def _fields(letter: dict[str, Any]) -> list[str]:
    error = f"{letter['error_type']}: {letter['error']}"
    failed = str(letter["last_failure"])[:19]
    names = ("id", "uuid", "chain", "stage", "attempts")
    return [*(_line(str(letter[name])) for name in names), failed, _line(error)]


def _line(text: str) -> str:
    """The text on one line. What others answered may hold what moves a terminal's cursor."""
    return "".join(c if c.isprintable() else " " for c in text)
