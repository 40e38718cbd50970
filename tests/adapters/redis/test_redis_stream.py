"""Streams as only Redis can have it; how every backend behaves is in the contract."""

import asyncio
import os
import subprocess
import sys

from vconflow.adapters.redis.backend import RedisBackend, RedisOptions, open_backend
from vconflow.ports.stream import ReadRequest
from vconflow.testing.contracts.backend import fill, read


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


async def test_entries_deleted_by_hand_are_dropped(backend: RedisBackend) -> None:
    await fill(backend, "a", 2)
    gone, left = await read(backend, "a")
    await backend.connections.commands.execute_command("XDEL", "vconflow:list:a", gone.id)
    assert [item.entry.id for item in await backend.stream.recover("a", "", 10)] == [left.id]
    assert (await backend.stream.depth(["a"]))["a"].pending == 1


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
