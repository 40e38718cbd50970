"""`vconflow migrate`: take over what a conserver keeps in the same Redis."""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
from rich.console import Console

from vconflow.adapters.redis.migration import Migration, open_migration
from vconflow.adapters.redis.migration.routes import Route
from vconflow.adapters.redis.migration.survey import Survey
from vconflow.cli.migrate_run import Row, follow, migrate, steadily
from vconflow.cli.migrate_table import show_found, show_result
from vconflow.cli.startup import config_option, errors_shown, load_config, load_settings
from vconflow.conserver_data import routes_of, stray_route
from vconflow.errors import ConfigError, Problem, Retryable
from vconflow.redis_url import complaint_about, shown
from vconflow.settings import Settings

__all__ = ["command"]


class Asked(msgspec.Struct, frozen=True):
    """What the options ask for."""

    lists: tuple[str, ...]
    everything: bool
    dry_run: bool
    yes: bool
    following: bool


@click.command(short_help="Take over what a conserver keeps in Redis.")
@config_option
@click.option("--redis-url", help="The Redis of the conserver. Default: REDIS_URL.")
@click.option(
    "--list", "lists", multiple=True, help="Also this Redis list, which no chain names. Repeatable."
)
@click.option("--all", "everything", is_flag=True, help="Also every other list of uuids.")
@click.option("--dry-run", is_flag=True, help="Only show what there is and where it would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--follow", "following", is_flag=True, help="Then go on with its lists until Ctrl-C.")
def command(
    config_file: Path | None,
    redis_url: str | None,
    lists: tuple[str, ...],
    everything: bool,
    dry_run: bool,
    yes: bool,
    following: bool,
) -> None:
    """Take over the lists, dead letters and documents that a conserver keeps in the same Redis.

    May be stopped at any moment and run again: it goes on where it stopped. Servers of vconflow may
    run beside it. Stop the conserver's API first: it cannot write to the search index of ours.
    Ends with 1 when something had to be put away, or it did not come to its end.
    """
    asked = Asked(lists, everything, dry_run, yes, following)
    with errors_shown():
        settings = load_settings()
        config = load_config(config_file or settings.conserver_config_file)
        url = _url(redis_url, settings)
        clean = asyncio.run(_run(url, settings, routes_of(config), asked))
    raise SystemExit(0 if clean else 1)


def _url(given: str | None, settings: Settings) -> str:
    if given is None and settings.redis_url is not None:
        return settings.redis_url.reveal()
    if given is None:
        message = "not set: name the Redis of the conserver here or with --redis-url"
        raise ConfigError([Problem(("REDIS_URL",), message, "missing")])
    if complaint := complaint_about(given):
        raise ConfigError([Problem(("--redis-url",), complaint, "bad_url")])
    return given


async def _run(url: str, settings: Settings, routes: list[Route], asked: Asked) -> bool:
    """Whether nothing had to be put away."""
    console, rows = Console(stderr=True), list[Row]()
    listing, expiry = settings.vcon_sorted_set_name, settings.vcon_index_expiry
    async with open_migration(url, created_name=listing, index_expiry=expiry) as migration:
        routes = [*routes, *(stray_route(name) for name in asked.lists)]
        console.print(f"looking at Redis at {shown(url)} ...", markup=False, highlight=False)
        found = await steadily(lambda: migration.survey(routes), console)
        if asked.everything:
            routes += [stray_route(name) for name in found.strays]
            found.lists |= found.strays
            found.strays = {}
        show_found(found, routes)
        if asked.dry_run or not (found or asked.following):
            return True
        if not asked.yes:
            await asyncio.to_thread(click.confirm, "Take this over?", abort=True, err=True)
        try:
            await _carry_out(migration, routes, found, rows, asked, console)
        except Retryable:
            click.echo("stopped before the end: run it again to go on", err=True)
            raise
        finally:
            refusals = migration.documents.refusals
            show_result(rows, refusals, migration.documents.invalid)
        return not refusals and not any(row.refused for row in rows)


async def _carry_out(
    migration: Migration,
    routes: Sequence[Route],
    found: Survey,
    rows: list[Row],
    asked: Asked,
    console: Console,
) -> None:
    await migrate(migration, routes, found, rows, console)
    if asked.following:
        console.print("following the lists until Ctrl-C", markup=False, highlight=False)
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await follow(migration, routes, rows, console, stop)
