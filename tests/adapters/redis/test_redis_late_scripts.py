"""What a network delivers after its sender gave it up and went on is not done any more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from vconflow.adapters.redis import client, scripts
from vconflow.adapters.redis.backend import RedisBackend, RedisOptions, open_backend
from vconflow.errors import Unavailable
from vconflow.model.validation import validate
from vconflow.testing.contracts.backend import accept, acceptance, read, vcon
from vconflow.testing.tcp_proxy import Direction, TcpProxy, tcp_proxy

HOUR_MS = 3_600_000


@pytest.fixture
async def _loaded(other: RedisBackend) -> None:
    """Let the server know the scripts: a late call by hash alone would fail without them."""
    await accept(other, vcon(), "in")
    facts = validate(vcon())
    await other.documents.delete(facts.uuid, facts)


@asynccontextmanager
async def behind_a_network(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[RedisBackend, TcpProxy]]:
    """A replica that soon gives up, and the network between it and Redis."""
    monkeypatch.setattr(client, "PATIENCE", 1.5)
    monkeypatch.setattr(client, "_SILENCE", 1.0)
    monkeypatch.setattr(scripts, "PATIENCE", 1.5)
    async with (
        tcp_proxy(url.removeprefix("unix://")) as network,
        open_backend(f"redis://127.0.0.1:{network.port}", RedisOptions()) as backend,
    ):
        yield backend, network


async def deliver(network: TcpProxy, other: RedisBackend) -> None:
    """Let all arrive that was sent while the network was stalled."""
    sent = network.passed(Direction.REQUESTS)
    network.restore()
    async with asyncio.timeout(10):
        while network.passed(Direction.REQUESTS) == sent:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    await other.ping()


@pytest.mark.usefixtures("_loaded")
async def test_a_late_delete_spares_what_was_accepted_since(
    redis_url: str, other: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = vcon()
    facts = validate(document)
    await accept(other, document, "in")
    async with behind_a_network(redis_url, monkeypatch) as (backend, network):
        network.stall(Direction.REQUESTS)
        with pytest.raises(Unavailable):
            await backend.documents.delete(facts.uuid, facts)
        await accept(other, document, "in")
        await deliver(network, other)
        (found,) = await other.documents.fetch([facts.uuid])
        assert (found.document, found.deleted) == (document, False)


@pytest.mark.usefixtures("_loaded")
async def test_a_late_acceptance_does_not_bring_back_what_was_deleted_since(
    redis_url: str, other: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = vcon()
    uuid = validate(document).uuid
    async with behind_a_network(redis_url, monkeypatch) as (backend, network):
        network.stall(Direction.REQUESTS)
        with pytest.raises(Unavailable):
            await accept(backend, document, "in")
        await other.documents.delete(uuid, None)
        await deliver(network, other)
        (found,) = await other.documents.fetch([uuid])
        assert found.document is None
        assert uuid not in [entry.uuid for entry in await read(other, "in")]


def record_scripts(backend: RedisBackend, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that run a script, from now on; an unknown one is sent twice by itself."""
    sent: list[str] = []
    original = backend.connections.commands.execute_command

    async def record(name: str, *args: Any, **options: Any) -> Any:
        if name == "EVALSHA":
            sent.append(name)
        return await original(name, *args, **options)

    monkeypatch.setattr(backend.connections.commands, "execute_command", record)
    return sent


@pytest.mark.usefixtures("_loaded")
async def test_a_clock_of_redis_that_was_set_is_learned(
    backend: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call that finds it out is done all the same, and once."""
    monkeypatch.setattr(backend.intake._scripts, "_clock_ahead_ms", -HOUR_MS)
    sent = record_scripts(backend, monkeypatch)
    first, second = vcon(), vcon()
    await accept(backend, first, "again")
    assert len(sent) == 2
    await accept(backend, second, "again")
    assert len(sent) == 3
    uuids = [entry.uuid for entry in await read(backend, "again")]
    assert uuids == [validate(first).uuid, validate(second).uuid]


async def test_a_clock_that_never_stands_still_is_trouble_that_may_pass(
    backend: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = scripts._now_ms()
    jumps = (now - hours * HOUR_MS for hours in range(1, 100))
    monkeypatch.setattr(scripts, "_now_ms", lambda: next(jumps))
    with pytest.raises(Unavailable, match="the clock of Redis keeps changing"):
        await backend.intake.accept([acceptance(vcon(), "in")])
