"""A full list through a chain with one tag, one row per vCon; and the whole way from the POST."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import asyncpg
import msgspec

from benchmarks.harness.cpu import CpuMeter
from benchmarks.harness.documents import fresh
from benchmarks.harness.drain import Drain
from benchmarks.harness.figures import Figure, Limit, Options, Sample, Target, compare
from benchmarks.harness.passage import TAG, chain_config, completed, echoed, passed, switch
from benchmarks.harness.processes import Server, Service, echo, vconflow
from vconflow.testing.servers import postgres

__all__ = ["run"]

LIMIT = "bare asyncpg: upserts of 256 ready rows into the same table"
ECHO = "bare Starlette that echoes the body"
TARGET = Target(0.7)
TABLE = "vcons"
BATCH = 256
PARALLEL = 2
"""As many batches as ours has under way; one after the other is the loop in its simplest form."""
ROWS_PER_SECOND = 4000
"""How many rows a window of the limit writes; not how long it takes."""

_UPSERT = f"""
INSERT INTO {TABLE} (id, uuid, vcon, created_at, updated_at, vcon_json, document, rev)
SELECT id, id, '0.0.1', created_at::timestamptz, now(), json::jsonb, document, 1
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[]) AS t (id, created_at, json, document)
ON CONFLICT (id) DO UPDATE
   SET vcon = excluded.vcon, created_at = excluded.created_at, updated_at = excluded.updated_at,
       vcon_json = excluded.vcon_json, document = excluded.document, rev = excluded.rev
"""

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure the flow."""
    async with postgres() as server:
        config = chain_config(*TAG, storages=["rows"])
        config["storages"] = {
            "rows": {
                "module": "storage.postgres",
                "options": {"dsn": server.url, "table_name": TABLE},
            }
        }
        async with (
            vconflow(config) as service,
            echo() as bare,
            asyncpg.create_pool(server.url, min_size=PARALLEL, max_size=PARALLEL) as pool,
        ):
            pids = {**service.pids, "PostgreSQL": server.pid}
            rows = _Rows(replace(service, pids=pids), bare, pool, options)
            limits = (
                Limit(
                    f"{LIMIT}, one after the other", partial(rows.upserted, 1), TARGET, "one by one"
                ),
                Limit(
                    f"{LIMIT}, 2 at a time",
                    partial(rows.upserted, PARALLEL),
                    TARGET,
                    "two at a time",
                ),
            )
            async for figure in compare("http_to_postgres", rows.drained, *limits, options=options):
                yield figure
            whole, limit = "http_to_postgres, from the POST", Limit(ECHO, rows.echoed)
            async for figure in compare(whole, rows.passed, limit, options=options):
                yield figure


@dataclass
class _Rows:
    """Both sides; each finds the table empty, and after its window no row may be missing."""

    service: Service
    bare: Server
    pool: Pool
    options: Options
    came_through: int = 0

    def __post_init__(self) -> None:
        self._drain = Drain(self.service)

    async def drained(self, seconds: float) -> Sample:
        sample = await self._drain.window(seconds)
        return await self._checked(sample)

    async def passed(self, seconds: float) -> Sample:
        await switch(self.service, "resume")
        return await self._checked(await passed(self.service, seconds, self.options))

    async def echoed(self, seconds: float) -> Sample:
        return await echoed(self.bare, seconds, self.options)

    async def upserted(self, parallel: int, seconds: float) -> Sample:
        number = max(BATCH, int(seconds * ROWS_PER_SECOND))
        rows = [
            (uuid, msgspec.json.decode(document)["created_at"], document.decode(), document)
            for uuid, document in fresh(number)
        ]
        batches = [
            list(zip(*rows[start : start + BATCH], strict=True))
            for start in range(0, number, BATCH)
        ]
        meter = CpuMeter({"loop": os.getpid(), "PostgreSQL": self.service.pids["PostgreSQL"]})
        started = time.perf_counter()

        async def write() -> None:
            while batches:
                await self.pool.execute(_UPSERT, *batches.pop())

        await asyncio.gather(*(write() for _ in range(parallel)))
        sample = Sample(number / (time.perf_counter() - started), cpu=meter.each(number))
        await self._emptied(number)
        return sample

    async def _checked(self, sample: Sample) -> Sample:
        done = await completed(self.service)
        await self._emptied(done - self.came_through)
        self.came_through = done
        return sample

    async def _emptied(self, number: int) -> None:
        rows = await self.pool.fetchval(f"SELECT count(*) FROM {TABLE}")
        if rows != number:
            raise RuntimeError(f"{number} were written, but there are {rows} rows")
        await self.pool.execute(f"TRUNCATE {TABLE}")
