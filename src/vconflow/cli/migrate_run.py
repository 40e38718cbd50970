"""One pass of a migration: every phase in its order, with progress and through outages."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Final, TypeVar

import msgspec
from rich.console import Console

from vconflow.adapters.redis.migration import Migration
from vconflow.adapters.redis.migration.routes import Moved, Route
from vconflow.adapters.redis.migration.survey import Survey
from vconflow.cli.progress import counting
from vconflow.errors import Retryable

__all__ = ["Row", "follow", "migrate", "steadily", "title"]

_PATIENCE: Final = 60.0
_LONGEST_PAUSE: Final = 2.0
_FOLLOW_PAUSE: Final = 0.5

ResultT = TypeVar("ResultT")


class Row(msgspec.Struct):
    """What became of one kind of data."""

    what: str
    moved: int = 0
    refused: int = 0

    def add(self, moved: Moved) -> None:
        """Count."""
        self.moved += moved.moved
        self.refused += moved.refused


async def steadily(call: Callable[[], Awaitable[ResultT]], console: Console) -> ResultT:
    """Repeat a call that may be repeated while Redis is away, for a minute. Raises Retryable."""
    deadline, pause = time.monotonic() + _PATIENCE, 0.1
    while True:
        try:
            return await call()
        except Retryable as error:
            if time.monotonic() > deadline:
                raise
            console.print(f"{error}; trying again", markup=False, highlight=False)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


async def migrate(
    migration: Migration, routes: Sequence[Route], found: Survey, rows: list[Row], console: Console
) -> None:
    """Take over what was found, and what came since; `rows` grow as it goes. Raises Retryable.

    Lists come first: their vCons wait to be processed, and bring their documents along.
    """
    for route in routes:
        if count := found.lists.get(route.source, 0):
            row = _row(rows, title(route))
            await _list(migration, route, count, row, console)
    documents = found.json_documents + found.plain_documents
    for what, total, steps in (
        ("documents", documents, migration.documents.all),
        ("search index", found.indexes, migration.index.sets),
        ("listing", found.listed, migration.index.listing),
    ):
        if total:
            await _all(what, total, steps, _row(rows, what), console)


async def follow(
    migration: Migration,
    routes: Sequence[Route],
    rows: list[Row],
    console: Console,
    stop: asyncio.Event,
) -> None:
    """Move what a conserver goes on pushing to its lists, until `stop`. Raises Retryable."""
    while not stop.is_set():
        busy = False
        for route in routes:
            moved, _ = await steadily(partial(migration.lists.step, route), console)
            if moved.moved or moved.refused:
                _row(rows, title(route)).add(moved)
                busy = True
        if not busy:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _FOLLOW_PAUSE)


def _row(rows: list[Row], what: str) -> Row:
    for row in rows:
        if row.what == what:
            return row
    rows.append(Row(what))
    return rows[-1]


def title(route: Route) -> str:
    """What a list is, for people."""
    kind = "dead letters" if route.kind == "dead" else f"{route.kind} list"
    return f"{kind} {route.source}"


async def _list(migration: Migration, route: Route, total: int, row: Row, console: Console) -> None:
    _say(console, f"{row.what}: {total:,}")
    left = 1
    with counting(total, "moved", console) as counter:
        while left:
            moved, left = await steadily(partial(migration.lists.step, route), console)
            row.add(moved)
            counter.add(moved.moved + moved.refused, moved.moved)


async def _all(
    what: str,
    total: int,
    steps: Callable[[], AsyncIterator[tuple[int, Moved]]],
    row: Row,
    console: Console,
) -> None:
    """Run a scan to its end. One that broke off begins anew, and finds only what is left."""
    _say(console, f"{what}: {total:,}")
    with counting(total, "taken over", console) as counter:

        async def scan() -> None:
            async for _, moved in steps():
                row.add(moved)
                counter.add(moved.moved + moved.refused, moved.moved)

        await steadily(scan, console)


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
