"""Which servers are refused at start, and with which words."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from vconflow.adapters.redis.backend import RedisOptions, open_backend
from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.server_check import _check_version, check_server
from vconflow.errors import ConfigError, Permanent, Unavailable
from vconflow.model.identifiers import new_uuid
from vconflow.testing import servers
from vconflow.testing.tcp_proxy import tcp_proxy


async def refusal(url: str, durability: str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        async with open_backend(url, RedisOptions(durability=durability)):
            pass
    return str(caught.value)


async def test_an_unreachable_server_is_named(tmp_path: Path) -> None:
    assert "cannot reach the server" in await refusal(f"unix://{tmp_path}/nothing.sock")
    assert "REDIS_URL" in await refusal("redis://127.0.0.1:1")


async def test_a_connection_that_is_closed_meanwhile_is_a_refusal_too() -> None:
    class Closed(Redis):
        async def execute_command(self, *args: object, **options: object) -> object:
            raise RuntimeError("unable to perform operation: the handler is closed")

    async with Closed() as client:
        with pytest.raises(ConfigError, match="cannot reach the server: unable"):
            await check_server(client, "")


async def test_sentinels_that_do_not_answer_are_told_in_our_words() -> None:
    text = await refusal(f"redis+sentinel://:hidden@127.0.0.1:{servers.free_port()}/vcons")
    assert text == "REDIS_URL: cannot reach the server: No master found for 'vcons'"


async def test_a_wrong_password_is_told_and_never_shown(tmp_path: Path) -> None:
    async with servers.redis_server(tmp_path, port=(port := servers.free_port())) as server:
        import redis

        with redis.Redis.from_url(server.url) as client:
            client.config_set("requirepass", "right")
        for url in (f"redis://127.0.0.1:{port}", f"redis://:wrong@127.0.0.1:{port}"):
            text = await refusal(url)
            assert "refuses" in text
            assert "wrong@" not in text
        async with open_backend(f"redis://:right@127.0.0.1:{port}", RedisOptions()) as backend:
            assert await backend.ping() >= 0
        with redis.Redis.from_url(f"redis://:right@127.0.0.1:{port}") as client:
            client.config_set("requirepass", "")


async def test_a_server_that_evicts_is_refused(tmp_path: Path) -> None:
    async with servers.valkey(tmp_path, maxmemory_policy="allkeys-lru") as server:
        assert "would evict accepted conversations" in await refusal(server.url)


async def test_durable_acceptance_insists_on_the_append_only_file(tmp_path: Path) -> None:
    async with servers.valkey(tmp_path, appendonly="no") as server:
        assert "needs 'appendonly yes'" in await refusal(server.url, "everysec")
    async with servers.valkey(tmp_path, appendonly="yes", appendfsync="everysec") as server:
        assert "'appendfsync always'" in await refusal(server.url, "fsync")
        async with open_backend(server.url, RedisOptions(durability="everysec")):
            pass


def test_an_old_version_is_refused() -> None:
    _check_version({"redis_version": "7.0.15"})
    _check_version({"redis_version": "10.1.0"})
    for old in ("6.2.14", "5.0", ""):
        with pytest.raises(ConfigError, match=r"needs Redis 7\.0 or Valkey 7\.2"):
            _check_version({"redis_version": old})


async def test_outages_are_retryable_and_refusals_are_not(tmp_path: Path) -> None:
    async with servers.valkey(tmp_path) as server:
        path = server.url.removeprefix("unix://").partition("?")[0]
        async with tcp_proxy(path) as proxy:
            url = f"redis://127.0.0.1:{proxy.port}"
            async with open_backend(url, RedisOptions()) as backend:
                proxy.refuse()
                with pytest.raises(Unavailable, match="unavailable"):
                    await backend.ping()
                proxy.restore()
                assert await backend.ping() >= 0
                client = backend.connections.commands
                await client.execute_command("SET", "text", "x")
                with pytest.raises(Permanent, match="WRONGTYPE"), redis_errors():
                    await client.execute_command("LPUSH", "text", "x")
                await client.execute_command("CONFIG", "SET", "maxmemory", "1")
                with pytest.raises(Unavailable), redis_errors():
                    await client.execute_command("SET", "more", "x")
                await client.execute_command("CONFIG", "SET", "maxmemory", "0")


async def test_a_conserver_document_is_read_also_where_nothing_can_be_written(
    tmp_path: Path,
) -> None:
    uuid, document = new_uuid(), b'{"vcon": "0.0.1"}'
    async with servers.valkey(tmp_path) as server, open_backend(server.url, RedisOptions()) as it:
        client = it.connections.commands
        await client.execute_command("SET", f"vcon:{uuid}", document)
        await client.execute_command("CONFIG", "SET", "maxmemory", "1")
        (found,) = await it.documents.fetch([uuid])
        assert (found.document, found.rev) == (document, 0)
        await client.execute_command("CONFIG", "SET", "maxmemory", "0")
        (found,) = await it.documents.fetch([uuid])
        assert found.document == document
        assert found.rev > 0
