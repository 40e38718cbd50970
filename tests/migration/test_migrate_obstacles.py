"""A vCon that cannot be taken over is reported, and holds up nothing behind it."""

import io
import json
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Any

import pytest
from conserver_data import CONFIG, Conserver, named, uuids_of
from migrating import entries, letters, migrate_here
from redis import Redis
from rich.console import Console

from vconflow.adapters.redis.migration import Migration, open_migration
from vconflow.adapters.redis.migration.routes import Moved, Route
from vconflow.config import parse


@pytest.fixture
def client(valkey_url: str) -> "Iterator[Redis[str]]":
    with Redis.from_url(valkey_url, decode_responses=True) as client:
        yield client


@pytest.fixture
async def migration(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Migration]:
    async with open_migration(valkey_url, created_name="vcons", index_expiry=86400) as migration:
        step, steps = migration.lists.step, count(1)

        async def bounded(route: Route) -> tuple[Moved, int]:
            assert next(steps) < 50, "it goes round for ever"
            return await step(route)

        monkeypatch.setattr(migration.lists, "step", bounded)
        yield migration


@pytest.fixture
def conserver(client: "Redis[str]") -> Conserver:
    return Conserver(client, as_json=False)


async def migrated(migration: Migration) -> None:
    await migrate_here(migration, parse(json.dumps(CONFIG), {}), Console(file=io.StringIO()))


def three(conserver: Conserver) -> list[dict[str, Any]]:
    """The second has a party whose number is a key of somebody else."""
    vcons = [named("Ann"), named("Bob", parties=[{"tel": "+1555"}]), named("Cleo")]
    for vcon in vcons:
        conserver.post(vcon, ["in"])
        conserver.hand_on(vcon["uuid"], "out")
        conserver.bury(vcon["uuid"], "in two")
    conserver.client.delete("tel:+1555")
    conserver.client.hset("tel:+1555", "somebody", "else's")
    return vcons


async def test_an_index_key_of_somebody_else(
    client: "Redis[str]", conserver: Conserver, migration: Migration
) -> None:
    vcons = three(conserver)
    uuids, left = uuids_of(vcons), vcons[1]["uuid"]
    await migrated(migration)
    assert (entries(client, "in"), entries(client, "out")) == (uuids, uuids)
    assert [letter["uuid"] for letter in letters(client, "in two")] == uuids
    assert not client.exists("in", "out", "DLQ:in two")
    assert [refusal.key for refusal in migration.documents.refusals] == [f"vcon:{left}"]
    assert client.hgetall("tel:+1555") == {"somebody": "else's"}
    # Its entry and its dead letter keep it, though it is none of ours.
    assert client.hgetall(f"vconflow:vcon:{left}") == {"open": "2", "egress": "1"}
    assert client.ttl(f"vcon:{left}") == -1


async def test_it_is_taken_once_nothing_stands_in_its_way(
    client: "Redis[str]", conserver: Conserver, migration: Migration
) -> None:
    left = three(conserver)[1]
    await migrated(migration)
    client.delete("tel:+1555")
    await migrated(migration)
    assert client.hget(f"vconflow:vcon:{left['uuid']}", "rev")
    assert client.hget(f"vconflow:vcon:{left['uuid']}", "open") == "2"
    assert client.zrange("tel:+1555", 0, -1) == [left["uuid"]]


async def test_a_key_of_ours_that_is_somebody_elses(
    client: "Redis[str]", conserver: Conserver, migration: Migration
) -> None:
    vcons = three(conserver)
    ours, left = [vcons[0]["uuid"], vcons[2]["uuid"]], vcons[1]["uuid"]
    client.set(f"vconflow:vcon:{left}", "somebody else's")
    await migrated(migration)
    assert (entries(client, "in"), entries(client, "out")) == (ours, ours)
    for name in ("in", "out", "DLQ:in two"):
        assert client.lrange(f"vconflow:refused:{name}", 0, -1) == [left]
        assert not client.exists(name)
    assert [refusal.key for refusal in migration.documents.refusals] == [f"vcon:{left}"]
    assert json.loads(conserver.get(left)) == vcons[1]
