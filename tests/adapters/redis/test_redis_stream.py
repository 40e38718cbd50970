import asyncio
import os
import subprocess
import sys

import pytest
from redis_support import accept, read, vcon

from vconflow.adapters.redis.backend import RedisBackend, RedisOptions, open_backend
from vconflow.errors import Permanent
from vconflow.ports.stream import ReadRequest


async def fill(backend: RedisBackend, name: str, count: int) -> None:
    await asyncio.gather(*(accept(backend, vcon(), name) for _ in range(count)))


async def test_budgets_and_the_total_are_kept(backend: RedisBackend) -> None:
    await backend.stream.ensure(["a", "b", "c"])
    await fill(backend, "a", 20)
    await fill(backend, "b", 5)
    await fill(backend, "c", 5)
    requests = [ReadRequest(("a", "b"), 8), ReadRequest(("c",), 3)]
    entries = await backend.stream.read(requests, 10, 0.01)
    taken = [entry.list for entry in entries]
    assert {name: taken.count(name) for name in "abc"} == {"a": 4, "b": 4, "c": 2}


async def test_a_long_list_gets_what_the_others_leave(backend: RedisBackend) -> None:
    await backend.stream.ensure(["a", "b"])
    await fill(backend, "a", 20)
    entries = await backend.stream.read([ReadRequest(("a", "b"), 10)], 10, 0.01)
    assert len(entries) == 10


async def test_a_waiting_read_is_woken_without_losing_anything(backend: RedisBackend) -> None:
    await backend.stream.ensure(["a"])
    waiting = asyncio.create_task(backend.stream.read([ReadRequest(("a",), 5)], 5, 60))
    while not backend.stream._waiting:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    await backend.stream.wake()
    assert await waiting == []
    await fill(backend, "a", 1)
    assert len(await read(backend, "a")) == 1


async def test_own_entries_come_back_in_pages(backend: RedisBackend) -> None:
    await fill(backend, "a", 5)
    entries = await read(backend, "a")
    first = await backend.stream.recover("a", "", 3)
    rest = await backend.stream.recover("a", first[-1].entry.id, 3)
    assert [item.entry for item in first + rest] == entries
    assert {item.progress.crashes for item in first + rest} == {1}


async def test_entries_deleted_by_hand_are_dropped(backend: RedisBackend) -> None:
    await fill(backend, "a", 2)
    gone, left = await read(backend, "a")
    await backend.connections.commands.execute_command("XDEL", "vconflow:list:a", gone.id)
    assert [item.entry.id for item in await backend.stream.recover("a", "", 10)] == [left.id]
    assert (await backend.stream.depth(["a"]))["a"].pending == 1


async def test_renewed_leases_are_not_taken_over(
    backend: RedisBackend, other: RedisBackend
) -> None:
    await fill(backend, "a", 3)
    ids = [entry.id for entry in await read(backend, "a")]
    for _ in range(4):
        await asyncio.sleep(0.1)
        assert await backend.stream.renew({"a": ids}) == []
    assert await other.stream.take_over("a", 10) == []
    await asyncio.sleep(0.35)
    assert len(await other.stream.take_over("a", 2)) == 2
    lost = await backend.stream.renew({"a": ids})
    assert [entry for _, entry in lost] == ids[:2]
    # Renewing must not have stolen them back.
    assert await other.stream.renew({"a": ids[:2]}) == []


async def test_handed_over_entries_are_taken_at_once_and_are_no_crash(
    backend: RedisBackend, other: RedisBackend
) -> None:
    await fill(backend, "a", 2)
    ids = [entry.id for entry in await read(backend, "a")]
    await backend.stream.hand_over({"a": ids})
    taken = await other.stream.take_over("a", 10)
    assert [item.entry.id for item in taken] == ids
    assert [item.progress.crashes for item in taken] == [0, 0]


async def test_a_clone_gets_a_name_of_its_own(redis_url: str) -> None:
    options = RedisOptions(replica="twin", lease=30)
    async with open_backend(redis_url, options) as one, open_backend(redis_url, options) as two:
        assert (one.stream.consumer, two.stream.consumer) == ("twin", "twin-2")
    async with open_backend(redis_url, options) as again:
        assert again.stream.consumer == "twin"


async def test_who_lost_the_name_is_told(backend: RedisBackend) -> None:
    await backend.connections.commands.execute_command(
        "SET", "vconflow:consumer:one", "somebody else"
    )
    with pytest.raises(Permanent, match="holds the name"):
        await backend.stream.renew({})
    await backend.connections.commands.execute_command("DEL", "vconflow:consumer:one")
    assert await backend.stream.renew({}) == []


async def test_only_empty_unheld_consumers_are_reaped(redis_url: str, other: RedisBackend) -> None:
    for name in ("busy", "idle"):
        async with open_backend(redis_url, RedisOptions(replica=name)) as backend:
            if name == "busy":
                await fill(backend, "a", 1)
            await read(backend, "a")
    await other.stream.ensure(["a"])
    await other.stream.reap(["a"])
    rows = await other.connections.commands.execute_command(
        "XINFO", "CONSUMERS", "vconflow:list:a", "vconflow"
    )
    assert [row[1] for row in rows] == [b"busy"]


async def test_a_deleted_stream_is_started_anew(backend: RedisBackend) -> None:
    await fill(backend, "a", 1)
    await read(backend, "a")
    await backend.connections.commands.execute_command("DEL", "vconflow:list:a")
    request = [ReadRequest(("a",), 5)]
    assert await backend.stream.read(request, 5, 0.01) == []
    await fill(backend, "a", 1)
    assert len(await backend.stream.read(request, 5, 0.01)) == 1


async def test_scripts_are_loaded_again_after_the_server_forgot_them(backend: RedisBackend) -> None:
    await fill(backend, "a", 1)
    await backend.connections.commands.execute_command("SCRIPT", "FLUSH")
    await fill(backend, "a", 1)
    assert len(await read(backend, "a")) == 2


async def test_popped_entries_come_back_unless_acknowledged(backend: RedisBackend) -> None:
    await fill(backend, "out", 3)
    first, second = await backend.egress.lease("out", 2)
    assert await backend.egress.depth("out") == 1
    assert await backend.egress.ack("out", [first]) == 1
    assert await backend.egress.ack("out", [first]) == 0
    await backend.egress.give_back("out", [second])
    again = await backend.egress.lease("out", 5)
    assert again[0].id == second.id
    assert len(again) == 2
    await asyncio.sleep(0.35)
    assert len(await backend.egress.lease("out", 5)) == 2
    assert await backend.egress.lease("nothing", 5) == []
    assert await backend.egress.depth("nothing") == 0


async def test_an_answer_that_was_lost_is_no_crash(backend: RedisBackend) -> None:
    """Read, but the answer never came: nobody has worked on these entries."""
    await fill(backend, "a", 2)
    lost, dropped = [entry.id for entry in await read(backend, "a")]
    await asyncio.sleep(0.35)
    taken = await backend.stream.take_over("a", 10, [dropped])
    assert [(item.entry.id, item.progress.crashes) for item in taken] == [(lost, 0), (dropped, 1)]


def ended_process() -> int:
    """The id of a process that has just ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


async def test_the_name_of_a_killed_process_beside_us_is_taken_over_at_once(
    backend: RedisBackend, redis_url: str
) -> None:
    client = backend.connections.commands
    place = (await client.execute_command("GET", "vconflow:consumer:one")).decode().split("/")[0]
    for pid, expected in ((ended_process(), "killed"), (os.getppid(), "killed-2")):
        await client.execute_command("SET", "vconflow:consumer:killed", f"{place}/{pid}/x")
        async with open_backend(redis_url, RedisOptions(replica="killed")) as again:
            assert again.stream.consumer == expected
    await client.execute_command("SET", "vconflow:consumer:far", f"elsewhere/{ended_process()}/x")
    async with open_backend(redis_url, RedisOptions(replica="far")) as again:
        assert again.stream.consumer == "far-2"
