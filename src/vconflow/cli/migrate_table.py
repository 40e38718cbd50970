"""What a migration found, and what became of it, for people."""

from collections.abc import Callable, Iterable, Sequence

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vconflow.adapters.redis.migration.routes import Refusal, Route
from vconflow.adapters.redis.migration.survey import Survey
from vconflow.cli.migrate_run import Row, title

__all__ = ["show_found", "show_result"]

_SHOWN = 20


def show_found(found: Survey, routes: Sequence[Route]) -> None:
    """Print what there is and what becomes of it."""
    rows = [
        (title(route), found.lists[route.source], _fate(route))
        for route in routes
        if route.source in found.lists
    ]
    rows += [
        (f"list {name}", count, "stays: no chain names it, see --list and --all")
        for name, count in sorted(found.strays.items())
    ]
    rows += [
        (what, count, fate)
        for what, count, fate in (
            ("RedisJSON documents", found.json_documents, "to plain strings"),
            ("plain documents", found.plain_documents, "get a revision"),
            ("search index keys", found.indexes, "to sorted sets"),
            ("listed vcon:<uuid>", found.listed, "to <uuid>"),
        )
        if count
    ]
    if rows:
        _print(("what", "count", "what becomes of it"), rows)
    else:
        click.echo("nothing of a conserver is here")


def show_result(rows: Iterable[Row], refusals: list[Refusal], invalid: list[Refusal]) -> None:
    """Print what was done, and what could not be done as it should."""
    counts = [(row.what, row.moved, row.refused) for row in rows]
    if counts:
        _print(("what", "taken over", "put away"), counts)
    if any(refused for _, _, refused in counts):
        click.echo("what was put away is kept in Redis under vconflow:refused:<key>")
    _details("put away", refusals, lambda it: f"{it.key}: {it.reason} (kept as {it.kept})")
    _details(
        "taken over although it is no valid vCon", invalid, lambda it: f"{it.key}: {it.reason}"
    )


def _fate(route: Route) -> str:
    if route.kind == "dead":
        return f"to the dead letters of {route.target}"
    reader = "a chain reads it" if route.feeds else "handed out by GET /vcon/egress"
    return f"to our list {route.target}: {reader}"


def _details(title: str, items: list[Refusal], line: Callable[[Refusal], str]) -> None:
    for item in items[:_SHOWN]:
        click.echo(f"{title}: {_clean(line(item))}")
    if len(items) > _SHOWN:
        click.echo(f"{title}: and {len(items) - _SHOWN} more")


def _print(head: tuple[str, ...], rows: Sequence[tuple[str | int, ...]]) -> None:
    if not (console := Console()).is_terminal:
        for row in rows:
            click.echo("\t".join(_clean(str(cell)) for cell in row))
        return
    table = Table(*head, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(Text(f"{it:,}" if isinstance(it, int) else _clean(it)) for it in row))
    console.print(table)


def _clean(text: str) -> str:
    """The text on one line. A key may hold what moves a terminal's cursor."""
    return "".join(c if c.isprintable() else " " for c in text)
