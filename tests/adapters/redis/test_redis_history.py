"""History and events as only Redis can have them; what is remembered is in the contract."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from redis.asyncio import Redis

from vconflow.adapters.redis.backend import RedisBackend, RedisOptions, open_backend
from vconflow.adapters.redis.history import parse_event
from vconflow.model.validation import validate
from vconflow.ports.history import HistoryRecord
from vconflow.ports.intake import Receipt
from vconflow.ports.ledger import Finish
from vconflow.testing.contracts.backend import (
    accept,
    acceptance,
    begun,
    commit,
    commit_of,
    read,
    vcon,
)

CHANNEL = "vconflow:events"


async def kept_ms(backend: RedisBackend, uuid: str) -> int:
    client = backend.connections.commands
    return int(await client.execute_command("PTTL", f"vconflow:history:{uuid}"))


async def test_it_is_kept_for_a_while_and_longer_with_what_comes_late(redis_url: str) -> None:
    async with open_backend(redis_url, RedisOptions(history_expiry=30)) as backend:
        entry, found = await begun(backend)
        assert 20_000 < await kept_ms(backend, entry.uuid) <= 30_000
        client, key = backend.connections.commands, f"vconflow:history:{entry.uuid}"
        await client.execute_command("PEXPIRE", key, 15_000)
        # An entry that has waited for more than a tenth of that.
        await client.execute_command("XADD", "vconflow:list:old", "1-1", "uuid", entry.uuid)
        await backend.stream.ensure(["old"])
        (late,) = await read(backend, "old")
        record = HistoryRecord(kind="completed")
        await commit(backend, commit_of(late, found, then=Finish(), record=record))
        assert await kept_ms(backend, entry.uuid) > 15_000


async def test_without_an_expiry_there_is_none(redis_url: str) -> None:
    async with open_backend(redis_url, RedisOptions(history_expiry=0)) as backend:
        async with listener(redis_url) as heard:
            await accept(backend, vcon(), "in")
            assert len(await heard(1)) == 1
        keys = await backend.connections.commands.execute_command("KEYS", "vconflow:history:*")
        assert keys == []


async def test_a_key_of_somebody_else_costs_the_history_only(backend: RedisBackend) -> None:
    document = vcon()
    uuid = validate(document).uuid
    client = backend.connections.commands
    await client.execute_command("SET", f"vconflow:history:{uuid}", "mine")
    assert await accept(backend, document, "in")
    assert await client.execute_command("GET", f"vconflow:history:{uuid}") == b"mine"
    assert await client.execute_command("XLEN", "vconflow:list:in") == 1


async def test_a_record_that_nobody_can_read_is_passed_over(backend: RedisBackend) -> None:
    document = vcon()
    uuid = validate(document).uuid
    await accept(backend, document)
    client, key = backend.connections.commands, f"vconflow:history:{uuid}"
    for text in ("", "1", "x y", "1 \xff", "1 \x81\xa4type\xa3new"):
        await client.execute_command("RPUSH", key, text)
    assert [record.kind for record in await backend.history.of(uuid)] == ["accepted"]


@asynccontextmanager
async def listener(url: str) -> AsyncIterator[object]:
    """Somebody who listens to the events; call it with how many to wait for."""
    async with Redis.from_url(url) as client, client.pubsub() as channel:
        await channel.subscribe(CHANNEL)
        assert (await channel.get_message(timeout=5))["type"] == "subscribe"

        async def heard(count: int) -> list[HistoryRecord]:
            events: list[HistoryRecord] = []
            async with asyncio.timeout(10):
                while len(events) < count:
                    message = await channel.get_message(timeout=1)
                    if message is not None:
                        event = parse_event(message["data"])
                        assert event is not None
                        events.append(event)
            return events

        yield heard


async def test_events_are_what_the_history_has(backend: RedisBackend, redis_url: str) -> None:
    async with listener(redis_url) as heard:
        entry, found = await begun(backend)
        record = HistoryRecord(kind="completed", chain="main", entry=entry.id)
        await commit(backend, commit_of(entry, found, then=Finish(), record=record))
        await backend.documents.delete(entry.uuid, None)
        events = await heard(3)
    assert [event.kind for event in events] == ["accepted", "completed", "deleted"]
    assert events == list(await backend.history.of(entry.uuid))


async def test_nobody_is_told_when_nobody_listens(backend: RedisBackend, redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:
        await client.config_resetstat()
        items = [acceptance(vcon(), "in") for _ in range(20)]
        assert all(isinstance(it, Receipt) for it in await backend.intake.accept(items))
        calls = await client.info("commandstats")
        assert "cmdstat_publish" not in calls
        # Asked once for the whole batch.
        assert calls["cmdstat_pubsub|numsub"]["calls"] == 1
        async with listener(redis_url) as heard:
            fresh = [acceptance(vcon(), "in") for _ in range(20)]
            await backend.intake.accept(fresh)
            assert [event.uuid for event in await heard(20)] == [it.facts.uuid for it in fresh]


async def test_without_the_right_to_tell_everything_else_works(redis_url: str) -> None:
    """Managed servers give users no channel unless they are asked to."""
    async with Redis.from_url(redis_url) as admin:
        rights = ("on", "nopass", "~*", "resetchannels", "+@all")
        await admin.execute_command("ACL", "SETUSER", "quiet", *rights)
        try:
            path = redis_url.removeprefix("unix://")
            async with (
                listener(redis_url),
                open_backend(f"unix://quiet:x@{path}", RedisOptions()) as backend,
            ):
                document = vcon()
                await accept(backend, document, "in")
                (record,) = await backend.history.of(validate(document).uuid)
                assert record.kind == "accepted"
        finally:
            await admin.execute_command("ACL", "DELUSER", "quiet")


def test_what_is_no_event_of_ours() -> None:
    for message in (b"", b"1", b"1 u", b"x u \x80", b"1 u \x80", b"1 u " + b"\x81\xa4type\xa1x"):
        assert parse_event(message) is None
    record = msgspec.msgpack.encode(("one", HistoryRecord(kind="deleted")))
    expected = HistoryRecord(kind="deleted", at=17, uuid="u", replica="one")
    assert parse_event(b"17 u " + record) == expected
