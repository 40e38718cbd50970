"""Keep vCons in a SQLite file."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, ClassVar, Self, TypeVar

from msgspec import Meta

from vconflow.errors import Permanent, Retryable
from vconflow.model.entry import StoredVcon
from vconflow.ports.component import LOCAL_PATH, Options, Resources

__all__ = ["SqliteOptions", "SqliteStorage"]

ResultT = TypeVar("ResultT")

TABLE = (
    "CREATE TABLE IF NOT EXISTS vcons "
    "(uuid TEXT PRIMARY KEY, rev INTEGER NOT NULL, document BLOB NOT NULL)"
)
# A batch may come again, and an older revision after a newer one.
PUT = (
    "INSERT INTO vcons VALUES (?, ?, ?) ON CONFLICT (uuid) DO UPDATE "
    "SET rev = excluded.rev, document = excluded.document WHERE excluded.rev >= vcons.rev"
)


class SqliteOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the storage `sqlite`."""

    path: Annotated[
        str, Meta(description="The file of the database.", extra={LOCAL_PATH: True})
    ] = "vcons.sqlite"


class SqliteStorage:
    """One table, one row per vCon, with the exact bytes."""

    options: ClassVar[type[Options]] = SqliteOptions
    readable: ClassVar[bool] = True

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    @classmethod
    @asynccontextmanager
    async def open(cls, options: SqliteOptions, resources: Resources) -> AsyncIterator[Self]:
        """Open the database and make the table."""
        connection = await asyncio.to_thread(_connect, options.path)
        try:
            yield cls(connection)
        finally:
            await asyncio.to_thread(connection.close)

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        """Store a batch in one transaction."""
        rows = [(vcon.uuid, vcon.rev, vcon.document) for vcon in vcons]
        await self._call(lambda connection: connection.executemany(PUT, rows))

    async def get(self, uuid: str) -> bytes | None:
        """The exact bytes, None when there is no such vCon."""
        query = "SELECT document FROM vcons WHERE uuid = ?"
        row = await self._call(lambda connection: connection.execute(query, (uuid,)).fetchone())
        return None if row is None else bytes(row[0])

    async def delete(self, uuid: str) -> bool:
        """Remove a vCon; whether there was one."""
        query = "DELETE FROM vcons WHERE uuid = ?"
        return await self._call(lambda connection: connection.execute(query, (uuid,)).rowcount > 0)

    async def ping(self) -> None:
        """Raise what hinders a write."""
        await self._call(lambda connection: connection.execute("UPDATE vcons SET rev = 0 WHERE 0"))

    async def _call(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        """The event loop must never wait for a disk: the work is done in a thread."""
        return await asyncio.to_thread(self._in_transaction, work)

    def _in_transaction(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        with self._lock, _mapped(), self._connection:
            return work(self._connection)


@contextmanager
def _mapped() -> Iterator[None]:
    """The one place that says which errors pass: a lock and a full disk do, others do not."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Retryable(f"SQLite: {error}") from error
    except sqlite3.Error as error:
        raise Permanent(f"SQLite: {error}") from error


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    # What was put must be there after a loss of power.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(TABLE)
    return connection
