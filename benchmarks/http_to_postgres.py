"""POST, tag, one row per vCon."""

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg

from benchmarks.harness.documents import fresh
from benchmarks.harness.figures import Figure, Options, Sample, compare
from benchmarks.harness.passage import chain_config, passed
from benchmarks.harness.processes import vconflow
from vconflow.adapters.storages.postgres_rows import Row, columns, row
from vconflow.adapters.storages.postgres_table import Table
from vconflow.adapters.storages.statements import load_statements
from vconflow.model.entry import StoredVcon
from vconflow.testing.servers import postgres

__all__ = ["run"]

LIMIT = "bare asyncpg: the same upsert of 256 ready rows, 2 at a time"
BATCH = 256
PARALLEL = 2
ROWS_PER_SECOND = 4000
"""How many rows a window of the limit writes; not how long it takes."""


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure the flow."""
    async with postgres() as server:
        config = chain_config("links.tag", {"tags": {"source": "benchmark"}}, storages=["rows"])
        config["storages"] = {
            "rows": {"module": "storage.postgres", "options": {"dsn": server.url}}
        }

        async def ours(seconds: float) -> Sample:
            return await passed(url, seconds, options)

        async def limit(seconds: float) -> Sample:
            return await _upserted(pool, seconds)

        async with vconflow(config) as url, _open_pool(server.url) as pool:
            yield await compare("http_to_postgres", LIMIT, ours, limit, options)


def _open_pool(dsn: str) -> "asyncpg.Pool[asyncpg.Record]":
    settings = {"timezone": "UTC"}
    return asyncpg.create_pool(
        dsn, min_size=PARALLEL, max_size=PARALLEL, ssl=False, server_settings=settings
    )


async def _upserted(pool: "asyncpg.Pool[asyncpg.Record]", seconds: float) -> Sample:
    table = Table.named("bare")
    statements = load_statements("postgres.sql")
    await pool.execute(table.fill(statements["make"]))
    upsert = table.fill(statements["upsert"])
    rows = _rows(int(seconds * ROWS_PER_SECOND))
    batches = [columns(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH)]

    async def write() -> None:
        while batches:
            await pool.execute(upsert, *batches.pop())

    started = time.perf_counter()
    await asyncio.gather(*(write() for _ in range(PARALLEL)))
    return Sample(len(rows) / (time.perf_counter() - started))


def _rows(number: int) -> list[Row]:
    now = time.time()
    return [row(StoredVcon(uuid, 1, document, now)) for uuid, document in fresh(number)]
