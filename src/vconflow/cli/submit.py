"""`vconflow submit`: send files of vCons to a server."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Unpack

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vconflow.cli.progress import showing
from vconflow.cli.server_options import Server, ServerOptions, server_options
from vconflow.cli.sources import find, read
from vconflow.cli.submission import Tally, submit_all
from vconflow.client import GaveUp

__all__ = ["command"]

_REASONS_SHOWN: Final = 20


def _named(_: click.Context, __: click.Parameter, value: str) -> str:
    # The server takes several, separated by commas, and stores a vCon with none on none.
    if not value.replace(",", " ").strip():
        raise click.BadParameter("names no list")
    return value


@click.command(short_help="Send files of vCons to a server.")
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(exists=True, readable=True, path_type=Path)
)
@click.option(
    "--list",
    "list_name",
    required=True,
    callback=_named,
    help="The ingress list to put them on.",
)
@server_options
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1000),
    default=16,
    show_default=True,
    help="How many to send at a time.",
)
def command(
    paths: tuple[Path, ...], list_name: str, concurrency: int, **options: Unpack[ServerOptions]
) -> None:
    """Send vCons from PATHS: files, folders, and files with one vCon a line (.ndjson, .jsonl).

    In folders, and in the folders below them, .json, .vcon, .ndjson and .jsonl files are sent.
    Ends with 1 when any vCon was rejected. Sending the same again does no harm: a vCon replaces
    the one with its uuid, and is processed again.
    """
    tally = Tally()
    try:
        asyncio.run(_submit(paths, list_name, Server(concurrency, **options), tally))
    except GaveUp as error:
        _show(tally)
        raise click.ClickException(f"stopped before the end: {error}") from None
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None
    _show(tally)
    if tally.rejected:
        raise SystemExit(1)


async def _submit(paths: Sequence[Path], list_name: str, server: Server, tally: Tally) -> None:
    sources = await asyncio.to_thread(find, paths)
    if not sources:
        click.echo("nothing to send: no file ends in .json, .vcon, .ndjson or .jsonl", err=True)
    total = sum(source.size for source in sources)
    with showing(total, Console(stderr=True)) as observer:
        async with server.open() as client:
            await submit_all(
                client,
                read(sources),
                list_name,
                concurrency=server.connections,
                tally=tally,
                observer=observer,
            )


def _show(tally: Tally) -> None:
    click.echo(f"accepted {tally.accepted}, rejected {tally.rejected}")
    if not tally.rejected:
        return
    rows = [
        (f"{count}", str(status or "not sent"), detail, tally.first[status, detail])
        for (status, detail), count in tally.reasons.most_common(_REASONS_SHOWN)
    ]
    if (others := len(tally.reasons) - len(rows)) > 0:
        rows.append(("", "", f"and {others} more reasons, see above", ""))
    if (console := Console()).is_terminal:
        table = Table("rejected", "status", "why", "first at")
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
    else:
        for count, status, detail, first in rows:
            click.echo(f"  {count} x {status}: {detail} (first at {first})")
