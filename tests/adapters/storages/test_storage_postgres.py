"""The storage `postgres` on a real server."""

import asyncio
import json
import os
import signal
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest

from vconflow.adapters.storages.postgres import PostgresOptions, PostgresStorage
from vconflow.adapters.storages.postgres_options import pool_settings
from vconflow.errors import Permanent, Retryable
from vconflow.model.entry import StoredVcon
from vconflow.ports.component import Resources, Secret
from vconflow.testing import servers
from vconflow.testing.contracts import (
    Outage,
    Refusal,
    StorageContract,
    StorageFaultsContract,
    resources_for,
)
from vconflow.testing.contracts.storage import AWKWARD, stored
from vconflow.testing.contracts.storage_faults import SECRET, reading


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    return resources_for(tmp_path)


@pytest.fixture
async def sql(postgres_dsn: str) -> AsyncIterator[Any]:
    """A connection to look at the tables with."""
    connection = await asyncpg.connect(postgres_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def opened(postgres_dsn: str, resources: Resources) -> AsyncIterator[PostgresStorage]:
    async with PostgresStorage.open(
        PostgresOptions(dsn=Secret(postgres_dsn)), resources
    ) as storage:
        yield storage


@pytest.mark.parametrize(
    "options",
    [{}, {"table_name": 'My "odd" table', "prepared_statements": False, "pool_size": 2}],
    ids=["defaults", "others"],
)
class TestPostgresStorage(StorageContract):
    @pytest.fixture
    async def storage(
        self, postgres_dsn: str, resources: Resources, options: dict[str, Any]
    ) -> AsyncIterator[PostgresStorage]:
        given = PostgresOptions(dsn=Secret(postgres_dsn), **options)
        async with PostgresStorage.open(given, resources) as storage:
            yield storage


class TestPostgresStorageFaults(StorageFaultsContract):
    @pytest.fixture
    async def outage(self, resources: Resources) -> AsyncIterator[Outage]:
        async with servers.postgres() as server:
            options = PostgresOptions(dsn=Secret(server.url))
            async with PostgresStorage.open(options, resources) as storage:
                yield Outage(storage, server.stop, server.start, reading(storage))

    @pytest.fixture
    async def refusal(self, opened: PostgresStorage, sql: Any) -> Refusal:
        await opened.ping()
        await sql.execute(f"ALTER TABLE vcons ADD CHECK (subject <> '{SECRET}')")
        return Refusal(opened, stored(members=f',"subject":"{SECRET}"'), reading(opened))


async def test_fills_the_columns_of_the_reference(opened: PostgresStorage, sql: Any) -> None:
    vcon = stored(members=',"subject":"a\\u0000b","parties":[{"tel":"+1555"}]')
    plain = stored(members=',"subject":"plain"', created_at=1_760_000_000.25)
    await opened.put([vcon, plain])
    row = await sql.fetchrow("SELECT * FROM vcons WHERE id = $1", plain.uuid)
    assert row["uuid"] == uuid.UUID(plain.uuid)
    assert (row["vcon"], row["subject"], row["rev"]) == ("0.0.1", "plain", 1)
    assert row["created_at"] == datetime.fromtimestamp(1_760_000_000.25, UTC)
    assert abs((datetime.now(UTC) - row["updated_at"]).total_seconds()) < 3600
    assert json.loads(row["vcon_json"]) == json.loads(plain.document)
    row = await sql.fetchrow("SELECT * FROM vcons WHERE id = $1", vcon.uuid)
    assert row["vcon_json"] is None
    assert row["subject"] == "a\N{REPLACEMENT CHARACTER}b"
    assert row["document"] == vcon.document


async def test_keeps_json_of_all_but_the_refused(opened: PostgresStorage, sql: Any) -> None:
    vcons = {name: stored(members=members) for name, members in AWKWARD.items()}
    await opened.put([*vcons.values()])
    rows = await sql.fetch("SELECT id FROM vcons WHERE vcon_json IS NULL")
    refused = {str(row["id"]) for row in rows}
    assert refused == {vcons["character 0"].uuid, vcons["huge exponent"].uuid}


async def test_keeps_bytes_that_are_no_text(opened: PostgresStorage, sql: Any) -> None:
    odd = msgspec.structs.replace(stored(), document=b'{"subject":"\xff"}')
    plain = stored()
    await opened.put([odd, plain])
    assert await opened.get(odd.uuid) == odd.document
    rows = await sql.fetch("SELECT id FROM vcons WHERE vcon_json IS NULL")
    assert [str(row["id"]) for row in rows] == [odd.uuid]


async def test_makes_the_indexes(opened: PostgresStorage, sql: Any) -> None:
    await opened.ping()
    rows = await sql.fetch("SELECT indexdef FROM pg_indexes WHERE tablename = 'vcons'")
    definitions = " ".join(row["indexdef"] for row in rows)
    for part in ("(id)", "(created_at)", "(uuid)", "gin (vcon_json"):
        assert part in definitions


async def test_takes_over_a_table_of_the_reference(opened: PostgresStorage, sql: Any) -> None:
    await sql.execute(
        "CREATE TABLE vcons (id UUID NOT NULL PRIMARY KEY, vcon TEXT NOT NULL, uuid UUID NOT NULL,"
        "created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP, subject TEXT, vcon_json JSONB)"
    )
    old, new = stored(), stored(members=',"subject":"new"')
    for vcon in (old, new):
        await sql.execute(
            "INSERT INTO vcons VALUES ($1, '0.0.1', $1, '2024-01-01', NULL, NULL, $2)",
            *(vcon.uuid, '{"from": "the reference"}'),
        )
    await opened.put([new])
    assert await opened.get(new.uuid) == new.document
    assert await opened.get(old.uuid) == b'{"from": "the reference"}'
    created_at = await sql.fetchval("SELECT created_at FROM vcons WHERE id = $1", new.uuid)
    assert created_at == datetime.fromtimestamp(1_760_000_000, UTC).replace(tzinfo=None)


async def test_needs_no_rights_on_a_table_that_is_ready(
    opened: PostgresStorage, sql: Any, postgres_dsn: str, resources: Resources
) -> None:
    await opened.ping()
    role = f"role_{uuid.uuid4().hex}"
    await sql.execute(
        f"CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON vcons TO {role}"
    )
    options = PostgresOptions(dsn=Secret(postgres_dsn.replace("postgres@", f"{role}@")))
    vcon = stored()
    async with PostgresStorage.open(options, resources) as storage:
        await storage.put([vcon])
        assert await storage.get(vcon.uuid) == vcon.document
    await sql.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_replicas_may_make_the_table_together(
    postgres_dsn: str, resources: Resources
) -> None:
    async def one_replica() -> bytes | None:
        options = PostgresOptions(dsn=Secret(postgres_dsn), pool_size=1)
        async with PostgresStorage.open(options, resources) as storage:
            vcon = stored()
            await storage.put([vcon])
            return await storage.get(vcon.uuid)

    assert all(await asyncio.gather(*(one_replica() for _ in range(8))))


async def test_schema_and_options_instead_of_a_dsn(
    postgres_dsn: str, sql: Any, resources: Resources
) -> None:
    await sql.execute("CREATE SCHEMA archive")
    dsn = urlsplit(postgres_dsn)
    raw = {"host": dsn.hostname, "port": str(dsn.port), "database": dsn.path[1:]}
    raw |= {"table_name": "archive.vcons", "name": "postgres"}
    options = msgspec.convert(raw, PostgresOptions, strict=False)
    vcon = stored()
    async with PostgresStorage.open(options, resources) as storage:
        await storage.put([vcon])
    assert await sql.fetchval("SELECT id FROM archive.vcons") == uuid.UUID(vcon.uuid)


@pytest.mark.parametrize("name", ["", "a.b.c", "x" * 64, "a\0b"])
def test_refuses_what_is_no_table(name: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="table_name"):
        msgspec.convert({"table_name": name}, PostgresOptions)


async def test_only_a_uuid_is_looked_up(opened: PostgresStorage) -> None:
    with pytest.raises(Permanent):
        await opened.get("not a uuid")


async def test_a_dropped_table_is_made_again(opened: PostgresStorage, sql: Any) -> None:
    vcon = stored()
    await opened.put([vcon])
    await sql.execute("DROP TABLE vcons")
    with pytest.raises(Retryable):
        await opened.put([vcon])
    await opened.put([vcon])
    assert await opened.get(vcon.uuid) == vcon.document


async def test_a_read_only_server_takes_nothing(opened: PostgresStorage, sql: Any) -> None:
    await opened.ping()
    database = await sql.fetchval("SELECT current_database()")
    await sql.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    await sql.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    for _ in range(2):  # the connection that was cut may be noticed only now
        with pytest.raises(Retryable):
            await opened.ping()
    with pytest.raises(Retryable, match="ReadOnly"):
        await opened.put([stored()])


async def test_an_impatient_caller_does_not_stop_the_making(
    opened: PostgresStorage, sql: Any
) -> None:
    transaction = sql.transaction()
    await transaction.start()
    await sql.execute("SELECT pg_advisory_xact_lock(hashtextextended('vconflow \"vcons\"', 0))")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await opened.put([stored()])
    await transaction.rollback()
    vcon = stored()
    await opened.put([vcon])
    assert await opened.get(vcon.uuid) == vcon.document


async def _put_again_and_again(storage: PostgresStorage, vcons: list[StoredVcon]) -> None:
    while True:
        await storage.put(vcons)


async def test_waits_out_an_outage(resources: Resources) -> None:
    vcons = [stored() for _ in range(3)]
    async with servers.postgres() as server:
        await server.stop()
        options = PostgresOptions(dsn=Secret(server.url))
        async with PostgresStorage.open(options, resources) as storage:
            for call in (storage.ping(), storage.put(vcons), storage.get(vcons[0].uuid)):
                with pytest.raises(Retryable):
                    await call
            await server.start()
            await storage.put(vcons)
            server.kill()
            with pytest.raises(Retryable):
                await _put_again_and_again(storage, vcons)  # backends may outlive it for an instant
            await server.start()
            await storage.put(vcons)
            assert await storage.get(vcons[0].uuid) == vcons[0].document


async def test_a_frozen_server_can_be_given_up(resources: Resources) -> None:
    vcon = stored()
    async with servers.postgres() as server:
        options = PostgresOptions(dsn=Secret(server.url), connect_timeout=0.5)
        async with PostgresStorage.open(options, resources) as storage:
            await storage.put([vcon])
            backends = await _backends(server.url)
            for pid in (server.pid, *backends):
                os.kill(pid, signal.SIGSTOP)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await storage.get(vcon.uuid)
            with pytest.raises(Retryable):
                await storage.get(vcon.uuid)
            for pid in (server.pid, *backends):
                os.kill(pid, signal.SIGCONT)
            assert await storage.get(vcon.uuid) == vcon.document


async def _backends(url: str) -> list[int]:
    admin = await asyncpg.connect(url)
    rows = await admin.fetch("SELECT pid FROM pg_stat_activity WHERE application_name = 'vconflow'")
    await admin.close()
    return [row["pid"] for row in rows]


@pytest.mark.parametrize(
    ("meant", "options", "is_sent"),
    [
        (None, {}, True),
        (None, {"host": "evil.example"}, False),
        ("db.example", {"host": "db.example"}, True),
        ("db.example", {}, False),
        ("db1,db2", {"host": "db2"}, True),
        (None, {"dsn": "postgresql:///d"}, True),
        (None, {"dsn": "postgresql://u@localhost:5432/d"}, True),
        ("/run/pg", {"dsn": "postgresql://u@%2Frun%2Fpg/d"}, True),
        (None, {"dsn": "postgresql://u@evil.example/d"}, False),
        (None, {"dsn": "postgresql://u@localhost:5432,evil.example:5432/d"}, False),
        (None, {"dsn": "postgresql:///d?host=evil.example"}, False),
        (None, {"dsn": "postgresql://localhost/d?host=evil.example"}, False),
        (None, {"dsn": "postgresql:///?service=evil"}, False),
    ],
)
def test_the_password_of_the_environment_is_for_the_host_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, meant: str | None, options: dict[str, str], is_sent: bool
) -> None:
    """A configuration that came over HTTP may name any host."""
    monkeypatch.setenv("PGPASSWORD", "theirs")
    monkeypatch.delenv("PGHOST", raising=False)
    if meant is not None:
        monkeypatch.setenv("PGHOST", meant)
    dsn = options.get("dsn")
    given = PostgresOptions(dsn=Secret(dsn)) if dsn else PostgresOptions(**options)
    assert pool_settings(given)["password"] == ("theirs" if is_sent else "")


async def test_errors_say_what_is_wrong_and_show_no_password(resources: Resources) -> None:
    dsn = f"postgresql://u:topsecret@127.0.0.1:{servers.free_port()}/d"
    async with PostgresStorage.open(PostgresOptions(dsn=Secret(dsn)), resources) as storage:
        with pytest.raises(Retryable) as caught:
            await storage.ping()
    # uvloop and asyncio put it differently.
    assert "ConnectionRefusedError: Connect" in str(caught.value)
    assert "topsecret" not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:top/42@127.0.0.1/d",
        "postgresql://u:top#42@127.0.0.1/d",
        "postgresql://u:top?42@127.0.0.1:5432/d",
        "postgresql://u:p@127.0.0.1:top/d",
        "host=127.0.0.1 user=u password=top",
        "mysql://u:top@127.0.0.1/d",
        "postgresql://u:p@top@127.0.0.1/d",
        "postgresql://u:p[top]x@127.0.0.1/d",
        "postgresql://u:p\N{FULLWIDTH NUMBER SIGN}top@127.0.0.1/d",
        "postgresql://u:12/top@127.0.0.1/d",
        "postgresql://u:12?top@127.0.0.1/d",
    ],
)
def test_a_dsn_that_the_driver_cannot_read_is_refused_and_not_quoted(dsn: str) -> None:
    with pytest.raises(ValueError, match=r"^dsn: expected postgresql://.* %XX$") as caught:
        PostgresOptions(dsn=Secret(dsn))
    assert "top" not in str(caught.value)


async def test_what_the_driver_makes_of_its_settings_is_not_quoted(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "topsecret")
    options = PostgresOptions(dsn=Secret("postgresql://u@127.0.0.1/d"))
    async with PostgresStorage.open(options, resources) as storage:
        with pytest.raises(Retryable) as caught:
            await storage.ping()
    assert "topsecret" not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    "dsn",
    [
        "postgres://u:p@[::1]:5432,h:1/d",
        "postgresql://h/d?user=me@srv&password=x",
        "postgresql://h:5432/d?user=me@srv",
        "postgresql://u:p@h/d?application_name=a@b",
        "postgresql://u:p@h:5432/d@x",
        "Postgresql://u:p@h/d",
        " postgresql://u:p@h:5432\n",
        "postgresql:/d?host=/tmp",
        "postgresql:///d",
        "postgresql://u:p@%2Frun%2Fpg/d",
    ],
)
def test_every_form_of_a_dsn_that_the_driver_reads_is_taken(dsn: str) -> None:
    assert pool_settings(PostgresOptions(dsn=Secret(dsn)))["dsn"] == dsn
