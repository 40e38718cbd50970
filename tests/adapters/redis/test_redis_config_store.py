"""The versions of the configuration in a real Redis."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis.asyncio

from vconflow.adapters.redis.backend import RedisBackend, RedisOptions, open_backend
from vconflow.adapters.redis.keys import Keys
from vconflow.errors import Conflict, Permanent, Unavailable
from vconflow.ports.config_store import KEPT_VERSIONS, ConfigStore, ConfigVersion, NewVersion
from vconflow.testing.memory.config_store import MemoryConfigStore
from vconflow.testing.redis_cuts import RedisCuts
from vconflow.testing.tcp_proxy import Direction, tcp_proxy


def new(number: int = 0, **values: Any) -> NewVersion:
    defaults = {"document": {"x-n": number}, "hash": f"h{number}", "file_hash": "f", "by": "me"}
    return NewVersion(**{**defaults, **values})


@pytest.fixture(params=["memory", "valkey", "redis70"])
def store_url(request: pytest.FixtureRequest) -> str:
    """An empty Redis, or nothing for the implementation in memory."""
    if request.param == "memory":
        return ""
    url: str = request.getfixturevalue(f"{request.param}_server").url
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return url


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[ConfigStore]:
    if not store_url:
        yield MemoryConfigStore(lambda: time.time_ns() // 1_000_000)
        return
    async with open_backend(store_url, RedisOptions()) as backend:
        yield backend.config


async def test_nothing_is_stored_at_first(store: ConfigStore) -> None:
    assert await store.serial() == 0
    assert await store.current() is None
    assert await store.get(1) is None
    assert await store.versions() == []


async def test_versions_count_up(store: ConfigStore) -> None:
    before = time.time() * 1000
    document = {"links": {"ü": [1, 2.5, None, True, {"secret": "${X}"}]}}
    first = await store.put(new(document=document, comment="sö"), expected=0)
    second = await store.put(new(2, by="key"), expected=1)
    assert (first.serial, second.serial, await store.serial()) == (1, 2, 2)
    found = await store.get(1)
    assert found is not None
    assert (found.document, found.version) == (document, first)
    assert (first.comment, first.by, first.hash, first.file_hash) == ("sö", "me", "h0", "f")
    assert before - 60_000 < first.at < before + 600_000
    assert await store.versions() == [second, first]
    current = await store.current()
    assert current is not None
    assert current.version == second
    assert "secret" not in repr(found)


@pytest.mark.parametrize("expected", [0, 2, 7])
async def test_only_the_next_one_is_stored(store: ConfigStore, expected: int) -> None:
    await store.put(new(1), expected=0)
    with pytest.raises(Conflict):
        await store.put(new(2), expected=expected)
    assert await store.serial() == 1


async def test_of_many_writers_at_once_one_wins(store: ConfigStore) -> None:
    results = await asyncio.gather(
        *(store.put(new(n), expected=0) for n in range(20)), return_exceptions=True
    )
    assert sum(isinstance(result, ConfigVersion) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 19


async def test_only_so_many_are_kept(store: ConfigStore) -> None:
    for number in range(KEPT_VERSIONS + 5):
        await store.put(new(number), expected=number)
    kept = [version.serial for version in await store.versions()]
    assert kept == list(range(KEPT_VERSIONS + 5, 5, -1))
    assert await store.get(5) is None
    assert await store.get(6) is not None


async def heard(store: ConfigStore, act: Callable[[], Any]) -> float:
    """Seconds until whoever waits for news hears of what `act` does."""
    with contextlib.suppress(TimeoutError):
        await store.wait_for_news(0.1)  # the first time, listening only begins
    waiting = asyncio.create_task(store.wait_for_news(60))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    started = time.monotonic()
    await act()
    await waiting
    return time.monotonic() - started


async def test_a_version_is_announced(store: ConfigStore) -> None:
    assert await heard(store, lambda: store.put(new(), expected=0)) < 30


async def test_waiting_ends_without_news(store: ConfigStore) -> None:
    for _ in range(3):
        async with asyncio.timeout(30):
            await store.wait_for_news(0.05)


async def test_listening_goes_on_after_the_connection_was_cut(
    backend: RedisBackend, redis_url: str
) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as view:
        await backend.config.wait_for_news(0.1)
        await view.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]
        async with asyncio.timeout(30):
            await backend.config.wait_for_news(0.1)
            await backend.config.wait_for_news(0.1)
        assert await heard(backend.config, lambda: backend.config.put(new(), expected=0)) < 30


@pytest.mark.parametrize("at", [0.0, 0.5])
async def test_an_answer_that_is_lost_counts_once(valkey_url: str, at: float) -> None:
    """The driver sends the call again: what this very call has stored is no conflict."""
    cuts = RedisCuts()
    async with (
        tcp_proxy(valkey_url.removeprefix("unix://"), cuts.tap) as proxy,
        open_backend(f"redis://127.0.0.1:{proxy.port}", RedisOptions()) as backend,
    ):
        await backend.config.put(new(1), expected=0)
        cut = cuts.add(lambda command: b"the-mark" in b"".join(command), Direction.REPLIES, at)
        version = await backend.config.put(new(2, by="the-mark"), expected=1)
        assert cut.done
        assert (version.serial, await backend.config.serial()) == (2, 2)
        with pytest.raises(Conflict):
            await backend.config.put(new(3), expected=1)


async def test_a_version_that_was_tampered_with(backend: RedisBackend, redis_url: str) -> None:
    await backend.config.put(new(1), expected=0)
    async with redis.asyncio.Redis.from_url(redis_url) as view:
        await view.hset(Keys().config_documents, "1", "{")  # type: ignore[misc]
        with pytest.raises(Permanent, match="version 1 of the configuration is not JSON"):
            await backend.config.current()
        await view.hdel(Keys().config_documents, "1")  # type: ignore[misc]
        with pytest.raises(Permanent, match="lost version 1"):
            await backend.config.current()


async def test_redis_is_away(backend: RedisBackend, redis_url: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as view:
        await view.execute_command("REPLICAOF", "127.0.0.1", "1")  # type: ignore[no-untyped-call]
        try:
            with pytest.raises(Unavailable):
                await backend.config.put(new(1), expected=0)
        finally:
            await view.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]
