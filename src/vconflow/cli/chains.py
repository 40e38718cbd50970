"""`vconflow chains`: how the chains of a server do; pausing and resuming them."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, Unpack

import click
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vconflow.cli.server_options import Server, ServerOptions, server_options
from vconflow.client import Client, GaveUp, Rejected

__all__ = ["command"]

ResultT = TypeVar("ResultT")

_NUMBERS = ("depth", "in_flight", "pending", "retrying", "dead", "rate")


@click.group(invoke_without_command=True, short_help="How chains do; pause and resume them.")
@server_options
@click.option("--json", "as_json", is_flag=True, help="JSON, each chain on a line.")
@click.pass_context
def command(ctx: click.Context, as_json: bool, **options: Unpack[ServerOptions]) -> None:
    """Show the chains of a server, how full their lists are and how fast they run.

    In flight, retrying and rate are those of the replica that answers.
    """
    if ctx.invoked_subcommand is not None:
        ctx.obj = options
        return
    chains = _run(options, lambda client: client.chains.list())
    if as_json:
        for chain in chains:
            click.echo(msgspec.json.encode(chain))
        return
    _show(chains)


@command.command("pause", short_help="Stop reading the lists of a chain.")
@click.argument("name")
@click.pass_obj
def pause_command(options: ServerOptions, name: str) -> None:
    """Stop reading the lists of a chain, on every replica, until it is resumed.

    What is under way finishes, and its lists go on accepting.
    """
    _run(options, lambda client: client.chains.pause(name))


@command.command("resume", short_help="Read the lists of a chain again.")
@click.argument("name")
@click.pass_obj
def resume_command(options: ServerOptions, name: str) -> None:
    """Read the lists of a chain again, on every replica."""
    _run(options, lambda client: client.chains.resume(name))


def _show(chains: list[dict[str, Any]]) -> None:
    console = Console()
    if not console.is_terminal:
        for chain in chains:
            click.echo("\t".join([chain["name"], _state(chain), *_numbers(chain)]))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in ("chain", "state"):
        table.add_column(title, overflow="fold")
    for name in _NUMBERS:
        table.add_column(name.replace("_", " "), justify="right", no_wrap=True)
    for chain in chains:
        table.add_row(*map(Text, (chain["name"], _state(chain), *_numbers(chain))))
    console.print(table)


def _state(chain: dict[str, Any]) -> str:
    if not chain["enabled"]:
        return "disabled"
    if chain["held"]:
        return f"held: {chain['held']}"
    return "paused" if chain["paused"] else "running"


def _numbers(chain: dict[str, Any]) -> list[str]:
    *counts, rate = (chain[name] for name in _NUMBERS)
    return [*map(str, counts), f"{rate:.1f}/s"]


def _run(options: ServerOptions, work: Callable[[Client], Coroutine[Any, Any, ResultT]]) -> ResultT:
    async def run() -> ResultT:
        async with Server(1, **options).open() as client:
            return await work(client)

    try:
        return asyncio.run(run())
    except (GaveUp, Rejected) as error:
        raise click.ClickException(str(error)) from None
