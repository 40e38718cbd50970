"""`vconflow events`: what happens to vCons, while it happens."""

import asyncio
from contextlib import aclosing
from typing import Any, Unpack

import click
import msgspec

from vconflow.cli.server_options import Server, ServerOptions, server_options
from vconflow.client import GaveUp
from vconflow.ports.history import KINDS

__all__ = ["command"]

_ENDS = {"dropped": "dropped: this reads too slowly", "end": "the server ended the stream"}


@click.command(short_help="Print what happens to vCons.")
@server_options
@click.option("--type", "types", multiple=True, type=click.Choice(KINDS), help="Only these.")
@click.option("--chain", "chains", multiple=True, help="Only those of these chains.")
@click.option("--list", "lists", multiple=True, help="Only those of these lists.")
@click.option("--json", "as_json", is_flag=True, help="JSON, each event on a line.")
def command(
    types: tuple[str, ...],
    chains: tuple[str, ...],
    lists: tuple[str, ...],
    as_json: bool,
    **options: Unpack[ServerOptions],
) -> None:
    """Print what happens to vCons from now on, on all replicas, until Ctrl-C.

    Ends with 1 when the stream ends.
    """
    conditions = [
        (name, value)
        for name, values in (("type", types), ("chain", chains), ("list", lists))
        for value in values
    ]

    async def run() -> str:
        async with (
            Server(1, **options).open() as client,
            aclosing(client.events(conditions)) as events,
        ):
            async for name, data in events:
                if name in _ENDS:
                    return _ENDS[name]
                click.echo(msgspec.json.encode(data) if as_json else _line(name, data))
        return "the stream ended"

    try:
        raise click.ClickException(asyncio.run(run()))
    except GaveUp as error:
        raise click.ClickException(str(error)) from None


def _line(name: str, data: dict[str, Any]) -> str:
    told = (
        data.get("uuid"),
        data.get("chain"),
        data.get("list") or ",".join(data.get("lists", ())),
        data.get("stage"),
        data.get("error_type"),
        data.get("error") or data.get("reason"),
    )
    text = "\t".join([f"{name:13}", *(str(part) for part in told if part)])
    return "".join(c if c.isprintable() or c == "\t" else " " for c in text)
