"""`vconflow dead-letters`: see what a server could not process, put it back to work, or drop it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal, TypeVar, Unpack

import click
from rich.console import Console

from vconflow.cli.dead_letter_pass import Done, purge_ids, run_pass
from vconflow.cli.dead_letter_table import list_letters, show_letter
from vconflow.cli.server_options import Server, ServerOptions, server_options
from vconflow.client import Client, Conditions, GaveUp, PassStep, Rejected

__all__ = ["command"]

_TABLE_ROWS = 50

ResultT = TypeVar("ResultT")
CommandT = TypeVar("CommandT", bound=Callable[..., Any])
Resume = Literal["failed", "start"]

_CONDITIONS = (
    click.option("--list", help="Only those of this list."),
    click.option("--chain", help="Only those of this chain."),
    click.option("--stage", help="Only this stage, as link:NAME, or this kind of it, as link."),
    click.option("--error", help="Only those whose error type or message has this in it."),
)
_limit = click.option("--limit", type=click.IntRange(1), help="Not more than so many.")
_as_json = click.option("--json", "as_json", is_flag=True, help="JSON, each letter on a line.")


class Options(ServerOptions):
    """Which server, and which letters."""

    list: str | None
    chain: str | None
    stage: str | None
    error: str | None


def _conditions(command: CommandT) -> CommandT:
    for option in reversed(_CONDITIONS):
        command = option(command)
    return server_options(command)


@click.group(short_help="What could not be processed: see, replay, purge.")
def command() -> None:
    """See what could not be processed and why; put it back to work, or drop it.

    Ends with 1 when something did not work, with 2 for what cannot be asked.
    """


@command.command("list")
@_conditions
@click.option("--limit", type=click.IntRange(1), help="Default: 50, with --json all.")
@_as_json
def list_command(limit: int | None, as_json: bool, **options: Unpack[Options]) -> None:
    """List dead letters, oldest first."""
    server, conditions = _split(options)

    async def run(client: Client) -> bool:
        most = limit if as_json else limit or _TABLE_ROWS
        return await list_letters(client.dead_letters.list(conditions), most, as_json=as_json)

    if _run(server, run) and limit is None:
        click.echo("there are more: see --limit and --json", err=True)


@command.command("show")
@click.argument("letter_id", metavar="ID")
@server_options
@_as_json
def show_command(letter_id: str, as_json: bool, **options: Unpack[ServerOptions]) -> None:
    """Show everything about one dead letter, with the traceback."""
    if not letter_id:  # a variable of a script that is not set
        raise click.BadParameter("is empty", param_hint="ID")
    letter = _run(Server(1, **options), lambda client: client.dead_letters.show(letter_id))
    show_letter(letter, as_json=as_json)


@command.command("replay")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@_conditions
@_limit
@click.option(
    "--from",
    "resume",
    type=click.Choice(["failed", "start"]),
    default="failed",
    show_default=True,
    help="Go on with the step that failed, or begin with the first link.",
)
def replay_command(
    ids: tuple[str, ...], limit: int | None, resume: Resume, **options: Unpack[Options]
) -> None:
    """Put dead letters back to work: those with these IDs, or all that match.

    What dies while this runs is left alone, so nothing is replayed over and over.
    """
    server, conditions = _split(options)
    _ids_or_conditions(ids, conditions)
    done = Done("replayed")

    async def run(client: Client) -> None:
        letters = client.dead_letters
        if ids:
            done.count(await letters.replay_ids(ids, resume), len(ids))
            return

        async def step(size: int, cursor: str | None) -> PassStep:
            return await letters.replay(conditions, limit=size, cursor=cursor, resume=resume)

        await run_pass(step, limit, done, Console(stderr=True))

    _finish(server, run, done, missing=bool(ids))


@command.command("purge")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@_conditions
@_limit
@click.option("--all", "everything", is_flag=True, help="Really all, without any condition.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge_command(
    ids: tuple[str, ...], limit: int | None, everything: bool, yes: bool, **options: Unpack[Options]
) -> None:
    """Drop dead letters for good: those with these IDs, or all that match.

    A vCon that nothing else keeps goes with its dead letter.
    """
    server, conditions = _split(options)
    _ids_or_conditions(ids, conditions)
    if not (ids or conditions or everything):
        raise click.UsageError("name IDs or a condition, or say --all")
    if not yes:
        click.confirm(f"Drop {_described(ids, conditions)} for good?", abort=True, err=True)
    done = Done("purged")

    async def run(client: Client) -> None:
        letters = client.dead_letters
        if ids:
            await purge_ids(letters, ids, done)
            return

        async def step(size: int, cursor: str | None) -> PassStep:
            return await letters.purge(conditions, limit=size, cursor=cursor)

        await run_pass(step, limit, done, Console(stderr=True))

    _finish(server, run, done, missing=bool(ids))


def _split(options: Options) -> tuple[Server, Conditions]:
    """The server, and the conditions that were given. A blank one is for the server to refuse."""
    values: dict[str, Any] = dict(options)
    names = ("list", "chain", "stage", "error")
    given = {name: values.pop(name) for name in names}
    conditions = {name: value for name, value in given.items() if value is not None}
    return Server(1, **values), conditions


def _ids_or_conditions(ids: tuple[str, ...], conditions: Conditions) -> None:
    if ids and conditions:
        raise click.UsageError("either IDs or conditions")


def _described(ids: tuple[str, ...], conditions: Conditions) -> str:
    if ids:
        return f"{len(ids)} dead letters"
    if not conditions:
        return "ALL dead letters"
    return "all dead letters with " + ", ".join(f"{k} {v!r}" for k, v in conditions.items())


def _run(server: Server, work: Callable[[Client], Coroutine[Any, Any, ResultT]]) -> ResultT:
    async def run() -> ResultT:
        async with server.open() as client:
            return await work(client)

    try:
        return asyncio.run(run())
    except (GaveUp, Rejected) as error:
        raise click.ClickException(str(error)) from None


def _finish(
    server: Server,
    work: Callable[[Client], Coroutine[Any, Any, None]],
    done: Done,
    *,
    missing: bool,
) -> None:
    """Run to the end and say how far it came; with `missing` what was not there is an error."""
    try:
        _run(server, work)
    finally:
        click.echo(str(done))
    if missing and done.moved < done.scanned:
        raise SystemExit(1)
