"""Reading so many lists that only those are looked at which are said to be ready."""

import asyncio
from collections import Counter

import pytest

from vconflow.adapters.redis.backend import RedisBackend, RedisOptions, open_backend
from vconflow.pipeline.cancelling import cancel_all
from vconflow.ports.ledger import Bury, Commit, Progress
from vconflow.ports.stream import ReadRequest
from vconflow.testing.contracts.backend import accept, fill, vcon

LISTS = tuple(f"l{number}" for number in range(300))
ALL = [ReadRequest(LISTS, 1000)]
READY = "vconflow:ready"
PATIENCE = 30.0


async def ready(backend: RedisBackend) -> set[bytes]:
    members = await backend.connections.commands.execute_command("SMEMBERS", READY)
    return set(members)


async def read_all(backend: RedisBackend, requests: list[ReadRequest] = ALL) -> Counter[str]:
    """What there is, by list; ends when a read comes back with nothing."""
    found: Counter[str] = Counter()
    while entries := await backend.stream.read(requests, 1000, 0.01):
        found.update(entry.list for entry in entries)
    return found


async def test_a_waiting_read_gets_what_comes_to_any_list(backend: RedisBackend) -> None:
    await backend.stream.ensure(LISTS)
    assert await read_all(backend) == Counter()
    for name in (LISTS[0], LISTS[150], LISTS[299], LISTS[0]):
        waiting = asyncio.create_task(backend.stream.read(ALL, 10, PATIENCE))
        while not backend.stream._waiting:
            await asyncio.sleep(0.01)
        await accept(backend, vcon(), name)
        async with asyncio.timeout(PATIENCE):
            assert [entry.list for entry in await waiting] == [name]


async def test_a_list_is_ready_until_it_was_read_to_its_end(backend: RedisBackend) -> None:
    await backend.stream.ensure(LISTS)
    await read_all(backend)
    assert await ready(backend) == set()
    for _ in range(5):
        await accept(backend, vcon(), "l7", "l8")
    assert await ready(backend) == {b"vconflow:list:l7", b"vconflow:list:l8"}
    entries = await backend.stream.read([ReadRequest(LISTS, 6)], 6, 0.01)
    assert Counter(entry.list for entry in entries) == {"l7": 3, "l8": 3}
    assert await ready(backend) == {b"vconflow:list:l7", b"vconflow:list:l8"}
    assert await read_all(backend) == {"l7": 2, "l8": 2}
    assert await ready(backend) == set()


async def test_what_nobody_announced_is_found(redis_url: str, backend: RedisBackend) -> None:
    """By a replica that starts, and now and then by one that runs."""
    for number in range(0, 300, 3):
        await fill(backend, f"l{number}", 2)
    await backend.connections.commands.execute_command("DEL", READY)
    async with open_backend(redis_url, RedisOptions(replica="new")) as new:
        await new.stream.ensure(LISTS)
        assert await read_all(new) == {f"l{number}": 2 for number in range(0, 300, 3)}
        await fill(backend, "l200", 1)
        await backend.connections.commands.execute_command("DEL", READY)
        assert await read_all(new) == Counter()
        new.stream._look_at = 0.0  # half a minute later
        assert await read_all(new) == {"l200": 1}


async def test_a_list_that_fed_nobody_is_read_once_a_chain_does(backend: RedisBackend) -> None:
    await backend.stream.ensure(LISTS)
    await read_all(backend)
    await fill(backend, "other", 2)
    await backend.connections.commands.execute_command("DEL", READY)
    await backend.stream.ensure(["other"])
    assert await read_all(backend, [ReadRequest((*LISTS, "other"), 100)]) == {"other": 2}


async def test_a_replayed_dead_letter_is_announced(backend: RedisBackend) -> None:
    await backend.stream.ensure(LISTS)
    await accept(backend, vcon(), "l9")
    (entry,) = await backend.stream.read(ALL, 10, 0.01)
    bury = Bury(Progress(), "main", "link:webhook", "Permanent", "refused")
    await backend.ledger.commit([Commit(entry, entry.uuid, then=bury)])
    await read_all(backend)
    assert await ready(backend) == set()
    (letter,) = await backend.dead_letters.newest("l9", 10)
    assert await backend.dead_letters.replay("l9", [letter.id], from_start=True) == 1
    assert await ready(backend) == {b"vconflow:list:l9"}
    assert await read_all(backend) == {"l9": 1}


async def test_a_list_that_was_deleted_is_started_anew(backend: RedisBackend) -> None:
    await backend.stream.ensure(LISTS)
    await read_all(backend)
    await backend.connections.commands.execute_command("DEL", "vconflow:list:l5")
    await accept(backend, vcon(), "l5")
    assert await read_all(backend) == {"l5": 1}


async def test_a_key_of_somebody_else_hides_nothing(backend: RedisBackend) -> None:
    await backend.stream.ensure(LISTS)
    client = backend.connections.commands
    await client.execute_command("DEL", "vconflow:list:l5")
    await client.execute_command("SET", "vconflow:list:l5", "not a list")
    await accept(backend, vcon(), "l6")
    assert await read_all(backend) == {"l6": 1}


async def test_budgets_hold(backend: RedisBackend) -> None:
    await backend.stream.ensure(LISTS)
    await read_all(backend)
    for name in ("l1", "l2", "l201", "l202"):
        await fill(backend, name, 10)
    requests = [ReadRequest(LISTS[:200], 7), ReadRequest(LISTS[200:], 100)]
    entries = await backend.stream.read(requests, 20, 0.01)
    found = Counter(int(entry.list[1:]) < 200 for entry in entries)
    assert found[True] == 7
    assert found[False] == 13


async def test_lists_without_room_do_not_hide_those_with(backend: RedisBackend) -> None:
    """More of them are ready than one look draws."""
    await backend.stream.ensure(LISTS)
    await read_all(backend)
    for name in LISTS[:250]:
        await accept(backend, vcon(), name)
    await accept(backend, vcon(), "l299")
    entries = await backend.stream.read([ReadRequest(LISTS[260:], 10)], 10, 0.01)
    assert [entry.list for entry in entries] == ["l299"]


async def test_a_waiting_read_is_woken(backend: RedisBackend) -> None:
    await backend.stream.ensure(LISTS)
    waiting = asyncio.create_task(backend.stream.read(ALL, 5, 60))
    while not backend.stream._waiting:
        await asyncio.sleep(0.01)
    await backend.stream.wake()
    async with asyncio.timeout(PATIENCE):
        assert await waiting == []


@pytest.mark.parametrize("lists", [300, 33])
async def test_two_replicas_share(backend: RedisBackend, other: RedisBackend, lists: int) -> None:
    names = LISTS[:lists]
    await backend.stream.ensure(names)
    found: Counter[str] = Counter()

    async def reading(one: RedisBackend) -> None:
        while True:
            entries = await one.stream.read([ReadRequest(names, 50)], 50, 1.0)
            found.update(f"{entry.list} {entry.id}" for entry in entries)

    async with asyncio.timeout(PATIENCE):
        readers = [asyncio.create_task(reading(one)) for one in (backend, other)]
        for number in range(200):
            await accept(backend, vcon(), names[number * 7 % lists])
        while found.total() < 200:
            await asyncio.sleep(0.01)
    await cancel_all(readers)  # the driver may take a cancellation for an error of its own
    assert len(found) == found.total() == 200
