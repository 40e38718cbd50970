"""PostgreSQL storage: one row per vCon, the exact bytes beside the JSONB to search in."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from operator import attrgetter
from typing import Any, ClassVar, Final, Self

import asyncpg

from vconflow.adapters.storages.once import Once
from vconflow.adapters.storages.postgres_errors import REFUSED, mapped_errors, refusal
from vconflow.adapters.storages.postgres_options import PostgresOptions, pool_settings
from vconflow.adapters.storages.postgres_rows import Row, columns, row
from vconflow.adapters.storages.postgres_table import Table
from vconflow.adapters.storages.statements import load_statements
from vconflow.errors import PartialFailure, Retryable
from vconflow.model.entry import StoredVcon
from vconflow.ports.component import Options, Resources

__all__ = ["PostgresOptions", "PostgresStorage"]

_CLOSE_SECONDS: Final = 5.0


class PostgresStorage:
    """Writes a batch with one statement; an older revision never replaces a newer one.

    Connections are opened and the table is made when they are first needed, so that vconflow
    starts, and accepts, while PostgreSQL is away.
    """

    options: ClassVar[type[Options]] = PostgresOptions
    readable: ClassVar[bool] = True

    def __init__(
        self, pool: "asyncpg.Pool[asyncpg.Record]", table: Table, statements: dict[str, str]
    ) -> None:
        self._pool = pool
        self._table = table
        self._sql = {name: table.fill(sql) for name, sql in statements.items()}
        self._ready = Once(self._make_table)

    @classmethod
    @asynccontextmanager
    async def open(cls, options: PostgresOptions, resources: Resources) -> AsyncIterator[Self]:
        """Open a pool without connecting."""
        statements = await asyncio.to_thread(load_statements, "postgres.sql")
        pool = await asyncpg.create_pool(**pool_settings(options))
        storage = cls(pool, Table.named(options.table_name), statements)
        try:
            yield storage
        finally:
            await storage._close()

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        """Write a batch. Raises PartialFailure for vCons that PostgreSQL refuses."""
        # In one order everywhere, so that replicas do not wait for each other in a circle.
        rows = sorted(map(row, vcons), key=attrgetter("id"))
        failures: dict[str, Exception] = {}
        async with self._connection() as connection:
            await self._write(connection, rows, failures)
        if failures:
            raise PartialFailure(failures)

    async def get(self, uuid: str) -> bytes | None:
        """Return the bytes last put; of a row that the reference wrote the text of its JSONB."""
        async with self._connection() as connection:
            document: bytes | None = await connection.fetchval(self._sql["get"], uuid)
        return document

    async def delete(self, uuid: str) -> bool:
        """Remove the row."""
        async with self._connection() as connection:
            status = await connection.execute(self._sql["delete"], uuid)
        return bool(status != "DELETE 0")

    async def ping(self) -> None:
        """Make sure of the table, and that the server takes writes."""
        async with self._connection() as connection:
            writable = await connection.fetchval(self._sql["writable"])
        if not writable:
            raise Retryable("PostgreSQL: the server is read-only")

    async def _write(
        self, connection: Any, rows: list[Row], failures: dict[str, Exception]
    ) -> None:
        """Write rows; halve what PostgreSQL refuses until the culprits are found."""
        try:
            await connection.execute(self._sql["upsert"], *columns(rows))
        except REFUSED as error:
            if len(rows) > 1:
                middle = len(rows) // 2
                await self._write(connection, rows[:middle], failures)
                await self._write(connection, rows[middle:], failures)
            elif rows[0].has_json:
                await self._write(connection, [rows[0].without_json], failures)
            else:
                failures[rows[0].id] = refusal(error)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        with mapped_errors():
            await self._ready.ensure()
            try:
                async with self._pool.acquire() as connection:
                    try:
                        yield connection
                    except asyncio.CancelledError:
                        # Else the driver waits for a server that may never answer again.
                        connection.terminate()
                        raise
            except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
                self._ready.forget()  # somebody dropped it
                raise

    async def _make_table(self) -> None:
        async with self._pool.acquire() as connection:
            await self._table.make(connection, self._sql)

    async def _close(self) -> None:
        await self._ready.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()
