"""A migration that is killed, cut off, or overtaken loses nothing and doubles nothing."""

import asyncio
import contextlib
import io
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from conserver_data import CONFIG, Conserver, named, samples, uuids_of
from migrating import documents, either_format, entries, letters, migrate_here, started
from redis import Redis
from rich.console import Console

from vconflow.adapters.redis.migration import open_migration
from vconflow.cli.migrate_run import Row, follow
from vconflow.config import Config, parse
from vconflow.conserver_data import routes_of
from vconflow.testing.servers import RedisServer
from vconflow.testing.tcp_proxy import tcp_proxy

COUNT = 800
KILLS = 3


@pytest.fixture
def config() -> Config:
    return parse(json.dumps(CONFIG), {})


def fill(conserver: Conserver, folder: Path, count: int) -> dict[str, list[str]]:
    """Work for every phase; what each place must hold in the end."""
    vcons = samples(folder, count)
    waiting, dead, done = (
        vcons[: count // 2],
        vcons[count // 2 : count // 4 * 3],
        vcons[count // 4 * 3 :],
    )
    for vcon in waiting:
        conserver.post(vcon, ["in"])
    for vcon in dead:
        conserver.post(vcon)
        conserver.bury(vcon["uuid"], "in two")
    for vcon in done:
        conserver.post(vcon)
        conserver.hand_on(vcon["uuid"], "out")
    return {"in": uuids_of(waiting), "in two": uuids_of(dead), "out": uuids_of(done)}


def check(client: "Redis[str]", expected: dict[str, list[str]], before: dict[str, str]) -> None:
    assert entries(client, "in") == expected["in"]
    assert entries(client, "out") == expected["out"]
    assert [letter["uuid"] for letter in letters(client, "in two")] == expected["in two"]
    assert {uuid: client.get(f"vcon:{uuid}") for uuid in before} == before
    assert sorted(client.zrange("vcons", 0, -1)) == sorted(before)
    for uuid in before:
        meta = client.hgetall(f"vconflow:vcon:{uuid}")
        counted = "egress" if uuid in expected["out"] else "open"
        assert {name: meta[name] for name in ("open", "egress") if name in meta} == {counted: "1"}
    assert not client.exists("in", "out", "DLQ:in two")
    assert not list(client.scan_iter("vconflow:aside:*"))


def progress(client: "Redis[str]") -> int:
    """How much of the work is done."""
    names = ("list:in", "list:out", "dead:in two")
    streams = sum(client.xlen(f"vconflow:{name}") for name in names)
    return streams + int(client.info("commandstats").get("cmdstat_spop", {}).get("calls", 0))


def test_kill_9_at_any_moment(
    tmp_path: Path, redis_json: RedisServer, client: "Redis[str]", conserver: Conserver,
    shared_data: Path,
) -> None:  # fmt: skip
    expected = fill(conserver, shared_data, COUNT)
    before = documents(conserver, [uuid for uuids in expected.values() for uuid in uuids])
    client.config_resetstat()
    killed = 0
    for number in range(KILLS):
        with started(tmp_path / f"run{number}", redis_json.url, "--yes") as process:
            goal = progress(client) + random.randrange(1, 2 * COUNT // KILLS)
            deadline = time.monotonic() + 60
            while progress(client) < goal and process.code() is None:
                assert time.monotonic() < deadline
            killed += process.code() is None
            process.kill()
    assert killed > 1, "it always ended before it was killed"
    with started(tmp_path / "last", redis_json.url, "--yes") as process:
        assert process.wait() == 0, process.stdout + process.stderr
    check(client, expected, before)


async def test_cut_connections(
    redis_json: RedisServer, client: "Redis[str]", conserver: Conserver, shared_data: Path,
    config: Config,
) -> None:  # fmt: skip
    expected = fill(conserver, shared_data, COUNT // 2)
    before = documents(conserver, [uuid for uuids in expected.values() for uuid in uuids])
    console = Console(file=io.StringIO())
    async with tcp_proxy(f"127.0.0.1:{redis_json.port}") as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        async with open_migration(url, created_name="vcons", index_expiry=86400) as migration:
            cuts = asyncio.create_task(_cut(proxy))
            await migrate_here(migration, config, console)
            cuts.cancel()
            await asyncio.gather(cuts, return_exceptions=True)
        assert proxy.connections > 3
    check(client, expected, before)


async def _cut(proxy: object) -> None:
    while True:
        await asyncio.sleep(random.uniform(0.01, 0.1))
        proxy.cut()  # type: ignore[attr-defined]


async def test_a_conserver_that_goes_on_pushing(
    redis_json: RedisServer, client: "Redis[str]", conserver: Conserver, config: Config
) -> None:
    console, rows, pushed = Console(file=io.StringIO()), list[Row](), list[str]()

    def push() -> None:
        for number in range(200):
            vcon = named(f"party {number}", parties=[])
            conserver.post(vcon, ["in"])
            conserver.hand_on(vcon["uuid"], "out")
            pushed.append(vcon["uuid"])

    async with open_migration(
        redis_json.url, created_name="vcons", index_expiry=86400
    ) as migration:
        stop = asyncio.Event()
        following = asyncio.create_task(follow(migration, routes_of(config), rows, console, stop))
        await asyncio.to_thread(push)
        async with asyncio.timeout(40):
            while client.exists("in", "out") and not following.done():
                await asyncio.sleep(0.05)
        stop.set()
        await following
    assert entries(client, "in") == pushed
    assert sorted(entries(client, "out")) == sorted(pushed)
    assert all(client.type(f"vcon:{uuid}") == "string" for uuid in pushed)


async def test_a_document_that_is_written_meanwhile(
    redis_json: RedisServer, client: "Redis[str]", conserver: Conserver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    conserver.post(vcon := named("Ann"))
    async with open_migration(
        redis_json.url, created_name="vcons", index_expiry=86400
    ) as migration:
        read = migration.documents._read
        changes = iter([vcon | {"parties": [{"name": "Bob"}]}])

        async def overtaken(names: list[str]) -> Any:
            result = await read(names)
            for changed in changes:
                await asyncio.to_thread(conserver.set, f"vcon:{vcon['uuid']}", changed)
            return result

        monkeypatch.setattr(migration.documents, "_read", overtaken)
        await migration.documents.take([vcon["uuid"]])
    stored = json.loads(client.get(f"vcon:{vcon['uuid']}") or "")
    assert stored["parties"] == [{"name": "Bob"}]
    assert client.zrange("name:Bob", 0, -1) == [vcon["uuid"]]


@either_format
async def test_two_at_once(
    redis_json: RedisServer, client: "Redis[str]", conserver: Conserver, shared_data: Path,
    config: Config,
) -> None:  # fmt: skip
    expected = fill(conserver, shared_data, COUNT)
    before = documents(conserver, [uuid for uuids in expected.values() for uuid in uuids])
    console = Console(file=io.StringIO())
    async with (
        open_migration(redis_json.url, created_name="vcons", index_expiry=86400) as one,
        open_migration(redis_json.url, created_name="vcons", index_expiry=86400) as two,
    ):
        await asyncio.gather(*(migrate_here(it, config, console) for it in (one, two)))
    check(client, expected, before)


@either_format
async def test_others_are_served_meanwhile(
    redis_json: RedisServer, client: "Redis[str]", conserver: Conserver, shared_data: Path,
    config: Config,
) -> None:  # fmt: skip
    fill(conserver, shared_data, COUNT // 2)
    client.sadd("tel:busy", *(named("x")["uuid"] for _ in range(20_000)))
    client.config_resetstat()
    waits: list[float] = []
    ended = asyncio.Event()

    async def ping() -> None:
        async with redis.asyncio.Redis.from_url(redis_json.url) as other:
            while not ended.is_set():
                began = time.perf_counter()
                await other.ping()
                waits.append(time.perf_counter() - began)

    console = Console(file=io.StringIO())
    async with open_migration(
        redis_json.url, created_name="vcons", index_expiry=86400
    ) as migration:
        pinging = asyncio.create_task(ping())
        await migrate_here(migration, config, console)
        ended.set()
        await pinging
    stats = client.info("commandstats")
    scripts = stats["cmdstat_evalsha"]
    # Long together, each of them short: others get their turn between any two.
    assert scripts["calls"] > 100
    assert len(waits) > 100
    assert scripts["usec"] / scripts["calls"] < 100_000
    assert "cmdstat_keys" not in stats
    assert "cmdstat_smembers" not in stats


@either_format
def test_memory_does_not_grow_with_what_there_is(
    tmp_path: Path, redis_json: RedisServer, client: "Redis[str]", conserver: Conserver
) -> None:
    conserver.post(named("Ann"))
    few = _peak(tmp_path / "few", redis_json.url)
    megabyte = "x" * 1024 * 1024
    for number in range(60):
        vcon = named("Ann", subject=f"{number}{megabyte}")
        conserver.set(f"vcon:{vcon['uuid']}", vcon)
    many = _peak(tmp_path / "many", redis_json.url)
    assert many - few < 40 * len(megabyte)
    assert not client.scan(0, match="vcon:*", count=1000, _type="ReJSON-RL")[1]


def _peak(folder: Path, url: str) -> int:
    peak = 0
    with started(folder, url, "--yes") as process:
        while process.code() is None:
            with contextlib.suppress(FileNotFoundError, StopIteration):
                peak = max(peak, process.peak_memory())
            time.sleep(0.01)
        assert process.code() == 0, process.stderr
    return peak
