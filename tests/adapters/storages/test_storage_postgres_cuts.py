"""The storage `postgres` when its connections end in the middle of a batch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from vconflow.adapters.storages.postgres import PostgresOptions, PostgresStorage
from vconflow.errors import Retryable
from vconflow.model.entry import StoredVcon
from vconflow.ports.component import Secret
from vconflow.testing.contracts import resources_for
from vconflow.testing.contracts.storage import stored
from vconflow.testing.tcp_proxy import Direction, TcpProxy, tcp_proxy

_CUTS = 12


@pytest.fixture
async def sql(postgres_dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(postgres_dsn)
    yield connection
    await connection.close()


@asynccontextmanager
async def _behind_a_proxy(
    dsn: str, folder: Path
) -> AsyncIterator[tuple[PostgresStorage, TcpProxy]]:
    parts = urlsplit(dsn)
    async with tcp_proxy(f"{parts.hostname}:{parts.port}") as proxy:
        through = dsn.replace(f":{parts.port}/", f":{proxy.port}/")
        options = PostgresOptions(dsn=Secret(through), pool_size=1)
        async with PostgresStorage.open(options, resources_for(folder)) as storage:
            yield storage, proxy


def _batch() -> list[StoredVcon]:
    return [stored(members=',"subject":"' + "x" * 2000 + '"') for _ in range(50)]


async def _held(sql: Any, vcons: list[StoredVcon]) -> int:
    uuids = [vcon.uuid for vcon in vcons]
    count: int = await sql.fetchval(
        "SELECT count(*) FROM vcons WHERE id = ANY($1::uuid[]) AND document IS NOT NULL", uuids
    )
    return count


@pytest.mark.parametrize("direction", Direction)
async def test_a_cut_in_the_middle_of_a_batch_leaves_all_or_nothing(
    postgres_dsn: str, sql: Any, tmp_path: Path, direction: Direction
) -> None:
    async with _behind_a_proxy(postgres_dsn, tmp_path) as (storage, proxy):
        await storage.put(_batch())
        before = proxy.passed(direction)
        await storage.put(_batch())
        size = proxy.passed(direction) - before
        ends = []
        for number in range(_CUTS):
            await storage.ping()  # on a connection that is up
            vcons = _batch()
            await storage.put(vcons[:1])  # and knows the statement
            proxy.cut_after(1 + (size - 1) * number // _CUTS, direction)
            with pytest.raises(Retryable):
                await storage.put(vcons)
            ends.append(await _held(sql, vcons))
            await storage.put(vcons)
            assert await _held(sql, vcons) == len(vcons)
    # Only the first of a batch was there before; an answer that was cut may have been a yes.
    assert set(ends) <= ({1} if direction is Direction.REQUESTS else {1, 50})


async def test_backends_that_are_ended_store_nothing_in_secret(
    postgres_dsn: str, sql: Any, tmp_path: Path
) -> None:
    vcons = _batch()
    options = PostgresOptions(dsn=Secret(postgres_dsn))
    async with PostgresStorage.open(options, resources_for(tmp_path)) as storage:
        await storage.put(vcons[:1])
        async with sql.transaction():
            await sql.execute("LOCK TABLE vcons IN SHARE MODE")  # a batch stops in the middle
            writing = asyncio.create_task(storage.put(vcons))
            async with asyncio.timeout(20):
                while not await sql.fetchval(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_locks"
                    " WHERE NOT granted AND relation = 'vcons'::regclass"
                ):
                    await asyncio.sleep(0.01)
            with pytest.raises(Retryable):
                await writing
            assert await _held(sql, vcons) == 1
        await storage.put(vcons)
        assert await _held(sql, vcons) == len(vcons)


async def test_a_new_table_compresses_by_lz4_where_the_server_can(
    postgres_dsn: str, sql: Any, tmp_path: Path
) -> None:
    options = PostgresOptions(dsn=Secret(postgres_dsn))
    async with PostgresStorage.open(options, resources_for(tmp_path)) as storage:
        await storage.ping()
    methods = await sql.fetchval(
        "SELECT enumvals FROM pg_settings WHERE name = 'default_toast_compression'"
    )
    rows = await sql.fetch(
        "SELECT attname, attcompression FROM pg_attribute WHERE attrelid = 'vcons'::regclass"
        " AND attname IN ('document', 'vcon_json')"
    )
    expected = b"l" if "lz4" in methods else b"\0"
    assert {row["attname"]: row["attcompression"] for row in rows} == {
        "document": expected,
        "vcon_json": expected,
    }
