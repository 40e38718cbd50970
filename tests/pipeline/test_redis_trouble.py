"""Redis that answers "not now", in every way it can: nothing is lost, nothing happens twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from pipeline_support import site, step, unit, until, vcon
from redis.asyncio import Redis
from redis.exceptions import RedisError
from trouble_support import Gate, submit_until_accepted

from vconflow.adapters.redis import client
from vconflow.errors import Unavailable
from vconflow.model.identifiers import new_uuid
from vconflow.pipeline.batcher import Batcher
from vconflow.pipeline.chain import Chain
from vconflow.testing.memory_storage import MemoryStorage
from vconflow.testing.servers import RedisServer, redis_server, valkey

Starter = Callable[..., AbstractAsyncContextManager[RedisServer]]
Trouble = Callable[[RedisServer, Redis], AbstractAsyncContextManager[None]]


def by_command(begin: str, end: str) -> Trouble:
    """Trouble that an operator's command makes, and another one ends."""

    @asynccontextmanager
    async def trouble(server: RedisServer, operator: Redis) -> AsyncIterator[None]:
        await operator.execute_command(*begin.split())
        yield
        await operator.execute_command(*end.split())

    return trouble


@asynccontextmanager
async def busy(server: RedisServer, operator: Redis) -> AsyncIterator[None]:
    """Somebody's script that never ends, until it is killed."""
    await operator.config_set("busy-reply-threshold", 50)
    async with Redis.from_url(server.url, socket_timeout=60) as somebody:
        endless = asyncio.create_task(somebody.eval("while true do end", 0))  # type: ignore[arg-type]
        while await is_answered(operator):
            await asyncio.sleep(0.01)
        yield
        await operator.script_kill()
        with pytest.raises(RedisError):
            await endless


@asynccontextmanager
async def password_changed(server: RedisServer, operator: Redis) -> AsyncIterator[None]:
    """A new password, and everybody has to come in again."""
    await operator.config_set("requirepass", "new")
    await operator.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    yield
    await operator.config_set("requirepass", "")


@asynccontextmanager
async def full_disk(server: RedisServer, operator: Redis) -> AsyncIterator[None]:
    """The append-only file cannot grow: Redis sees that after it has accepted a write or two."""
    await operator.config_set("appendfsync", "everysec")
    server.fill_disk()
    async with asyncio.timeout(20):
        while await is_written(operator):
            await asyncio.sleep(0.05)
    yield
    server.free_disk()


@asynccontextmanager
async def full_disk_with_fsync_always(server: RedisServer, operator: Redis) -> AsyncIterator[None]:
    """Here the server gives up, and somebody starts it again when there is room."""
    server.fill_disk()
    assert not await is_written(operator)
    yield
    server.kill()
    await server.start()


@asynccontextmanager
async def killed(server: RedisServer, operator: Redis) -> AsyncIterator[None]:
    server.kill()
    yield
    await server.start()


@asynccontextmanager
async def stopped(server: RedisServer, operator: Redis) -> AsyncIterator[None]:
    server.pause()
    yield
    server.resume()


@asynccontextmanager
async def loading(server: RedisServer, operator: Redis) -> AsyncIterator[None]:
    """A restart that takes its time to read what was kept."""
    await operator.mset({f"key:{number}": "x" * 1024 for number in range(300)})
    await operator.bgrewriteaof()
    while (await operator.info("persistence"))["aof_rewrite_in_progress"]:
        await asyncio.sleep(0.01)
    await server.stop()
    starting = asyncio.create_task(server.start())
    yield
    assert not starting.done()
    await starting


SLOW_TO_LOAD = {"key_load_delay": 5_000, "loading_process_events_interval_bytes": 1024}
TROUBLES: dict[str, Trouble] = {
    "OOM": by_command("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
    "READONLY": by_command("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
    "NOREPLICAS": by_command(
        "CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"
    ),
    "NOPERM": by_command("ACL SETUSER default -@write", "ACL SETUSER default +@all"),
    "NOAUTH": password_changed,
    "BUSY": busy,
    "MISCONF": full_disk,
    "full disk": full_disk_with_fsync_always,
    "LOADING": loading,
    "killed": killed,
    "stopped": stopped,
}


async def is_answered(client: Redis) -> bool:
    try:
        await client.ping()  # type: ignore[misc]
    except (RedisError, OSError):
        return False
    return True


async def is_written(client: Redis) -> bool:
    try:
        await client.set("written", "x" * 1000)
    except (RedisError, OSError):
        return False
    return True


@pytest.fixture(params=[valkey, redis_server])
def start(request: pytest.FixtureRequest) -> Starter:
    starter: Starter = request.param
    return starter


@pytest.fixture
def _soon_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE", 1.5)


@pytest.mark.usefixtures("_soon_given_up")
@pytest.mark.parametrize("name", TROUBLES)
async def test_trouble_ends_and_all_goes_on(tmp_path: Path, start: Starter, name: str) -> None:
    gate, storage = Gate(), MemoryStorage()
    chain = Chain("main", (step("gate", gate),), ("s",), ("in",), egress=("out",))
    async with (
        start(tmp_path, **SLOW_TO_LOAD) as server,
        Redis.from_url(server.url) as operator,
        site(server.url, chain, storages={"s": unit("s", storage)}) as it,
    ):
        uuids = await it.submit(*(vcon() for _ in range(30)))
        await until(lambda: gate.held == 30)
        refused = [vcon() for _ in range(5)]
        async with TROUBLES[name](server, operator):
            gate.open.set()
            outcomes = await asyncio.gather(
                *(it.submit(document) for document in refused), return_exceptions=True
            )
            assert [type(outcome) for outcome in outcomes] == [Unavailable] * 5, outcomes
        again = await asyncio.gather(*(submit_until_accepted(it, vcon) for vcon in refused))
        await it.settled()
        delivered = Counter(await it.popped())
        assert delivered.keys() == {*uuids, *again}
        assert {delivered[uuid] for uuid in uuids} == {1}
        # What had been sent to a server that is silent is done when it wakes up.
        assert {delivered[uuid] for uuid in again} <= ({1, 2} if name == "stopped" else {1})
        assert await it.dead() == []
        assert storage.vcons.keys() == delivered.keys()


async def test_a_replica_is_not_believed_that_a_document_is_missing(
    tmp_path: Path, start: Starter
) -> None:
    """Else an entry would become a dead letter whose vCon is there."""
    async with (
        start(tmp_path) as server,
        Redis.from_url(server.url) as operator,
        site(server.url, Chain("main", lists=("in",)), start=False) as it,
    ):
        (uuid,) = await it.submit(vcon())
        await operator.execute_command("REPLICAOF", "127.0.0.1", "1")
        assert (await it.backend.documents.fetch([uuid]))[0].document is not None
        with pytest.raises(Unavailable, match="READONLY"):
            await it.backend.documents.fetch([uuid, new_uuid()])
        await operator.execute_command("REPLICAOF", "NO", "ONE")
        assert (await it.backend.documents.fetch([new_uuid()]))[0].document is None


async def test_a_flushed_redis_starts_anew(tmp_path: Path, start: Starter) -> None:
    chain = Chain("main", (step("a"),), lists=("in",), egress=("out",))
    async with (
        start(tmp_path) as server,
        Redis.from_url(server.url) as operator,
        site(server.url, chain, lease=1) as it,
    ):
        await it.submit(vcon())
        await it.settled()
        await operator.flushall()
        await operator.script_flush()
        uuids = await it.submit(*(vcon() for _ in range(10)))
        await it.settled()
        assert sorted(await it.popped()) == sorted(uuids)


async def test_what_waits_too_long_behind_a_call_is_never_sent() -> None:
    """So its client may send it again: it cannot happen twice."""
    begun, sent = asyncio.Event(), []

    async def hang(batch: Sequence[str]) -> list[str]:
        sent.extend(batch)
        begun.set()
        await asyncio.sleep(0.2)
        return list(batch)

    batcher: Batcher[str, str] = Batcher(hang, patience=0.1)
    first = batcher.submit("first")
    await begun.wait()
    with pytest.raises(Unavailable, match="no answer in time"):
        await batcher.submit("second")
    with pytest.raises(Unavailable, match="no answer in time"):
        await first
    await batcher.drain()
    assert sent == ["first"]
