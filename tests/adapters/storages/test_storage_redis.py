"""The storage `redis_storage` on real servers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from fault_support import killing

from certificates import Authority
from vconflow.adapters.storages.redis_storage import RedisStorage, RedisStorageOptions
from vconflow.errors import PartialFailure, Retryable, Unavailable
from vconflow.model.entry import StoredVcon
from vconflow.ports.component import Resources
from vconflow.testing import servers
from vconflow.testing.contracts import (
    Outage,
    Refusal,
    StorageContract,
    StorageFaultsContract,
    resources_for,
)
from vconflow.testing.contracts.storage import stored
from vconflow.testing.contracts.storage_faults import SECRET, reading
from vconflow.testing.tcp_proxy import Direction, TcpProxy, tcp_proxy


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    return resources_for(tmp_path)


@pytest.fixture
def commands(valkey_url: str) -> Iterator["redis.Redis[bytes]"]:
    """A client to look at the keys with."""
    with redis.Redis.from_url(valkey_url) as client:
        yield client


@asynccontextmanager
async def opened(url: str, resources: Resources, **options: Any) -> AsyncIterator[RedisStorage]:
    raw = {"redis_url": url, **options}
    given = msgspec.convert(raw, RedisStorageOptions, strict=False, dec_hook=_secret)
    async with RedisStorage.open(given, resources) as storage:
        yield storage


def _secret(kind: type, value: Any) -> Any:
    return kind(value)


@pytest.fixture
async def storage(valkey_url: str, resources: Resources) -> AsyncIterator[RedisStorage]:
    async with opened(valkey_url, resources) as storage:
        yield storage


class TestRedisStorage(StorageContract):
    @pytest.fixture
    async def storage(self, redis_url: str, resources: Resources) -> AsyncIterator[RedisStorage]:
        async with opened(redis_url, resources) as storage:
            yield storage


class TestRedisStorageFaults(StorageFaultsContract):
    @pytest.fixture
    async def outage(self, tmp_path: Path, resources: Resources) -> AsyncIterator[Outage]:
        async with servers.valkey(tmp_path) as server, opened(server.url, resources) as storage:
            yield killing(server, storage, reading(storage))

    @pytest.fixture
    async def refusal(self, storage: RedisStorage, commands: Any) -> Refusal:
        """Keys of another making are in its way."""
        bad = stored(members=f',"subject":"{SECRET}"')
        commands.hset(f"{{vcon_storage:{bad.uuid}}}:rev", "a", "b")
        commands.set(f"vcon_storage:{bad.uuid}", "x")
        return Refusal(storage, bad, reading(storage))


async def test_keeps_the_layout_and_the_lifetime_of_the_reference(
    storage: RedisStorage, commands: Any
) -> None:
    vcon = stored()
    await storage.put([vcon])
    key = f"vcon_storage:{vcon.uuid}"
    assert commands.get(key) == vcon.document
    assert {0 < commands.ttl(name) <= 604_800 for name in (key, f"{{{key}}}:rev")} == {True}
    assert commands.dbsize() == 2
    assert await storage.delete(vcon.uuid)
    assert commands.dbsize() == 0


@pytest.mark.parametrize("expires", ["0", None])
async def test_keeps_for_ever_when_told(
    valkey_url: str, resources: Resources, commands: Any, expires: str | None
) -> None:
    vcon = stored()
    async with opened(valkey_url, resources, prefix="kept", expires="1") as storage:
        assert storage.forgets
        await storage.put([vcon])
    async with opened(valkey_url, resources, prefix="kept", expires=expires) as storage:
        assert not storage.forgets
        await storage.put([vcon])
    assert [commands.ttl(name) for name in commands.keys("*")] == [-1, -1]


async def test_takes_over_what_the_reference_wrote(storage: RedisStorage, commands: Any) -> None:
    vcon = stored(rev=1)
    commands.set(f"vcon_storage:{vcon.uuid}", b'{"from": "the reference"}')
    assert await storage.get(vcon.uuid) == b'{"from": "the reference"}'
    await storage.put([vcon])
    assert await storage.get(vcon.uuid) == vcon.document


async def test_a_revision_whose_document_was_evicted_hinders_nothing(
    storage: RedisStorage, commands: Any
) -> None:
    new = stored(rev=7)
    await storage.put([new])
    commands.delete(f"vcon_storage:{new.uuid}")
    old = stored(new.uuid, rev=6)
    await storage.put([old])
    assert await storage.get(old.uuid) == old.document


async def test_scripts_that_were_flushed_are_sent_again(
    storage: RedisStorage, commands: Any
) -> None:
    vcons = [stored(), stored()]
    await storage.put(vcons)
    commands.script_flush()
    newer = [stored(vcon.uuid, rev=2, members=',"x":2') for vcon in vcons]
    await storage.put(newer)
    assert [await storage.get(vcon.uuid) for vcon in newer] == [vcon.document for vcon in newer]


async def test_a_refusal_says_why(storage: RedisStorage, commands: Any) -> None:
    bad = stored()
    commands.hset(f"{{vcon_storage:{bad.uuid}}}:rev", "a", "b")
    commands.set(f"vcon_storage:{bad.uuid}", "x")
    with pytest.raises(PartialFailure) as caught:
        await storage.put([bad])
    assert "WRONGTYPE" in str(caught.value.failures[bad.uuid])


@pytest.mark.parametrize(
    ("setting", "word"), [("maxmemory 1", "OOM"), ("replicaof 127.0.0.1 1", "READONLY")]
)
async def test_a_server_that_takes_no_writes_is_an_outage(
    tmp_path: Path, resources: Resources, setting: str, word: str
) -> None:
    vcon = stored()
    async with servers.valkey(tmp_path) as server, opened(server.url, resources) as storage:
        await storage.put([vcon])
        with redis.Redis.from_url(server.url) as client:
            if word == "OOM":
                client.config_set(*setting.split())
            else:
                client.execute_command(setting)
            with pytest.raises(Retryable, match=word):
                await storage.ping()
            with pytest.raises(PartialFailure) as caught:
                await storage.put([vcon])
            failure = caught.value.failures[vcon.uuid]
            # `Unavailable` would say that the Redis on which everything runs is away.
            assert isinstance(failure, Retryable)
            assert not isinstance(failure, Unavailable)
            assert word in str(failure)
            client.execute_command("REPLICAOF NO ONE")
            client.config_set("maxmemory", 0)
        await storage.put([vcon])


async def test_a_wrong_password_says_so(tmp_path: Path, resources: Resources) -> None:
    settings: dict[str, str | int] = {"port": servers.free_port()}
    async with servers.valkey(tmp_path, **settings) as server:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("requirepass", "right")
            url = f"redis://:wr0ng@127.0.0.1:{server.port}"
            async with opened(url, resources) as storage:
                with pytest.raises(Retryable, match="password") as caught:
                    await storage.put([stored()])
            assert "wr0ng" not in str(caught.value)
            async with opened(url.replace("wr0ng", "right"), resources) as storage:
                await storage.put([stored()])
            client.execute_command("AUTH", "right")
            client.config_set("requirepass", "")


@asynccontextmanager
async def behind_a_proxy(
    folder: Path, resources: Resources
) -> AsyncIterator[tuple[RedisStorage, TcpProxy]]:
    settings: dict[str, str | int] = {"port": servers.free_port()}
    async with (
        servers.valkey(folder, **settings) as server,
        tcp_proxy(f"127.0.0.1:{server.port}") as proxy,
        opened(f"redis://127.0.0.1:{proxy.port}", resources) as storage,
    ):
        yield storage, proxy


def _batch() -> list[StoredVcon]:
    return [stored(members=',"subject":"' + "x" * 2000 + '"') for _ in range(50)]


@pytest.mark.parametrize("direction", Direction)
async def test_a_cut_in_the_middle_of_a_batch_is_made_good_by_the_next_try(
    tmp_path: Path, resources: Resources, direction: Direction
) -> None:
    async with behind_a_proxy(tmp_path, resources) as (storage, proxy):
        await storage.put(_batch())
        before = proxy.passed(direction)
        await storage.put(_batch())
        size = proxy.passed(direction) - before
        for number in range(10):
            await storage.ping()  # on a connection that is up
            vcons = _batch()
            proxy.cut_after(1 + (size - 1) * number // 10, direction)
            with pytest.raises(Retryable):
                await storage.put(vcons)
            await storage.put(vcons)
            assert [await storage.get(v.uuid) for v in vcons] == [v.document for v in vcons]


async def test_a_write_that_was_given_up_leaves_no_answer_to_the_next(
    tmp_path: Path, resources: Resources
) -> None:
    async with behind_a_proxy(tmp_path, resources) as (storage, proxy):
        vcon = stored()
        await storage.put([vcon])
        proxy.stall(Direction.REPLIES)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await storage.put([vcon])
        proxy.restore()
        assert await storage.get(vcon.uuid) == vcon.document


async def test_tls(tmp_path: Path, resources: Resources) -> None:
    authority = Authority("ours")
    cert, key, _ = authority.issue(tmp_path, "server")
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.pem)
    settings: dict[str, str | int] = {
        "tls_port": servers.free_port(),
        "tls_cert_file": str(cert),
        "tls_key_file": str(key),
        "tls_ca_cert_file": str(ca),
        "tls_auth_clients": "no",
    }
    vcon = stored()
    async with servers.redis_server(tmp_path, **settings):
        url = f"rediss://127.0.0.1:{settings['tls_port']}"
        async with opened(f"{url}?ssl_ca_certs={ca}", resources) as storage:
            await storage.put([vcon])
            assert await storage.get(vcon.uuid) == vcon.document
        async with opened(url, resources) as storage:
            with pytest.raises(Retryable):
                await storage.put([vcon])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"redis_url": "http://x"}, "redis_url: expected redis://"),
        ({"redis_url": "redis://:pa/ss@x"}, "redis_url: expected redis://"),
        ({"redis_url": "redis+sentinel://h:1/s"}, "redis_url: Sentinels and clusters"),
        ({"redis_url": "redis+cluster://h:1"}, "redis_url: Sentinels and clusters"),
        ({"prefix": "vcon"}, "prefix 'vcon' names keys of vconflow"),
        ({"prefix": ""}, "length >= 1"),
        ({"expires": -1}, ">= 0"),
    ],
)
def test_refuses_options(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(raw, RedisStorageOptions, dec_hook=_secret)


async def test_the_default_of_the_reference_means_the_local_server(resources: Resources) -> None:
    raw = {"redis_url": "redis://:localhost:6379"}
    options = msgspec.convert(raw, RedisStorageOptions, dec_hook=_secret)
    assert options.url == RedisStorageOptions().url == "redis://localhost:6379"
