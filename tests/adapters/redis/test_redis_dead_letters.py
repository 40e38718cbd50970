"""Very many dead letters on a real Redis, strange ones, and connections cut in the middle."""

import asyncio
import contextlib
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import redis

from vconflow.adapters.redis.backend import RedisBackend, RedisOptions, open_backend
from vconflow.errors import Unavailable
from vconflow.pipeline.dead_letters import (
    MOST_SCANNED,
    DeadLetterFilter,
    DeadLetterPasses,
    Position,
    Step,
)
from vconflow.testing.dead_letters import bury
from vconflow.testing.tcp_proxy import Direction, tcp_proxy

ALL = DeadLetterFilter()
MANY = 20_000

Take = Callable[[Position | None], Awaitable[Step]]


@pytest.fixture
def db(redis_url: str) -> "Iterator[redis.Redis[bytes]]":
    with redis.Redis.from_url(redis_url) as client:
        yield client


async def run(backend: RedisBackend, *command: Any) -> Any:
    return await backend.connections.commands.execute_command(*command)


async def uuids_on(backend: RedisBackend, key: str) -> list[str]:
    """Whose entries a stream holds, in order."""
    fields = [item[1] for item in await run(backend, "XRANGE", key, "-", "+")]
    return [dict(zip(f[::2], f[1::2], strict=True))[b"uuid"].decode() for f in fields]


async def to_the_end(take: Take) -> list[Step]:
    """Take steps until there is none left."""
    steps = [await take(None)]
    while steps[-1].position is not None:
        steps.append(await take(steps[-1].position))
    return steps


@pytest.mark.parametrize("redis_url", ["valkey"], indirect=True)
async def test_a_replay_of_very_many_is_done_in_flat_memory_while_others_are_answered(
    backend: RedisBackend, db: "redis.Redis[bytes]"
) -> None:
    uuids = bury(db, "in", MANY)
    passes = DeadLetterPasses(backend.dead_letters)
    answered = 0

    async def others() -> None:
        nonlocal answered
        while True:
            await backend.ping()
            answered += 1

    asking = asyncio.create_task(others())
    tracemalloc.start()
    try:
        steps = await to_the_end(lambda at: passes.replay(["in"], ALL, 1000, at))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        asking.cancel()
    assert [step.moved for step in steps] == [1000] * (MANY // 1000)
    # All of them take more than 40 MB.
    assert peak < 5_000_000
    # Each step has two dozen round trips, between which others have theirs.
    assert answered > 5 * len(steps)
    assert await uuids_on(backend, "vconflow:list:in") == uuids
    assert await run(backend, "XLEN", "vconflow:dead:in") == 0


async def test_a_purge_of_very_many_takes_their_documents_along(
    backend: RedisBackend, db: "redis.Redis[bytes]"
) -> None:
    bury(db, "in", MANY // 4)
    kept = bury(db, "in", 10, stage="storage:pg")
    passes = DeadLetterPasses(backend.dead_letters)
    chosen = DeadLetterFilter(stage="link:second")
    tracemalloc.start()
    try:
        steps = await to_the_end(lambda at: passes.purge(["in"], chosen, 700, at))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(step.moved for step in steps) == MANY // 4
    assert max(step.moved for step in steps) == 700
    assert peak < 5_000_000
    assert await uuids_on(backend, "vconflow:dead:in") == kept
    # Each of the ten has a document, a hash, and all together the one stream.
    assert await run(backend, "DBSIZE") - len(await run(backend, "KEYS", "*consumer*")) == 21


async def test_a_step_looks_at_so_many_and_no_more(
    backend: RedisBackend, db: "redis.Redis[bytes]"
) -> None:
    bury(db, "in", MOST_SCANNED + 300)
    passes = DeadLetterPasses(backend.dead_letters)
    rare = DeadLetterFilter(error="nowhere")
    steps = await to_the_end(lambda at: passes.replay(["in"], rare, 1000, at))
    assert [(step.moved, step.scanned) for step in steps] == [(0, MOST_SCANNED), (0, 300)]


async def test_what_dies_during_a_replay_is_not_replayed_by_it(
    backend: RedisBackend, db: "redis.Redis[bytes]"
) -> None:
    first = bury(db, "a", 300)
    second = bury(db, "b", 300)
    passes = DeadLetterPasses(backend.dead_letters)

    async def take(at: Position | None) -> Step:
        step = await passes.replay(["b", "a"], ALL, 100, at)
        await asyncio.sleep(0.002)
        for name in ("a", "b"):
            bury(db, name, 10)
        return step

    steps = await to_the_end(take)
    assert [step.moved for step in steps] == [100] * 6
    assert await uuids_on(backend, "vconflow:list:a") == first
    assert await uuids_on(backend, "vconflow:list:b") == second
    assert await passes.total(["a", "b"]) == 120


async def test_expiry_stays_within_its_count(
    backend: RedisBackend, db: "redis.Redis[bytes]"
) -> None:
    bury(db, "in", 1_000)
    later = 4_000_000_000_000
    counts = [await backend.dead_letters.expire("in", later, 450) for _ in range(3)]
    assert counts == [450, 450, 100]


async def test_what_strangers_wrote_is_shown_and_stays_until_it_is_dropped(
    backend: RedisBackend, db: "redis.Redis[bytes]"
) -> None:
    strange = (b"entry", b"\xff", b"attempts", b"many", b"at", b"9" * 30, b"progress", b"\xfe{")
    await run(backend, "XADD", "vconflow:dead:in", "*", *strange)
    await run(backend, "XADD", "vconflow:dead:in", "*", "uuid", "u", *strange)
    without, with_uuid = await backend.dead_letters.browse("in", after="", count=10)
    assert (without.uuid, without.attempts, without.at) == ("", 0, 0)
    ids = [without.id, with_uuid.id]
    assert await backend.dead_letters.replay("in", ids) == 1
    assert await uuids_on(backend, "vconflow:list:in") == ["u"]
    assert await backend.dead_letters.drop("in", ids) == 1
    # One of ours whose fields somebody overwrote.
    (uuid,) = bury(db, "in", 1, entry="?")
    (letter,) = await backend.dead_letters.browse("in", after="", count=10)
    assert await backend.dead_letters.replay("in", [letter.id]) == 1
    assert await uuids_on(backend, "vconflow:list:in") == ["u", uuid]


async def check_each_is_in_one_place(
    backend: RedisBackend, work: str, uuids: list[str]
) -> list[str]:
    """Every letter is dead or where it was moved to, never both nor neither; those still dead."""
    dead = await uuids_on(backend, "vconflow:dead:in")
    moved = await uuids_on(backend, "vconflow:list:in")
    gone = uuids[: len(uuids) - len(dead)]
    assert moved == (gone if work == "replay" else [])
    assert gone + dead == uuids
    documents = await backend.documents.fetch(uuids)
    kept = [uuid for uuid, held in zip(uuids, documents, strict=True) if held.document]
    assert kept == (uuids if work == "replay" else dead)
    return dead


@pytest.mark.parametrize("redis_url", ["valkey"], indirect=True)
@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("work", ["replay", "purge"])
async def test_a_cut_leaves_each_letter_either_dead_or_on_its_list(
    redis_url: str, db: "redis.Redis[bytes]", work: str, direction: Direction
) -> None:
    async with (
        tcp_proxy(redis_url.removeprefix("unix://")) as proxy,
        open_backend(redis_url, RedisOptions(replica="straight")) as straight,
        open_backend(f"redis://127.0.0.1:{proxy.port}", RedisOptions(replica="cut")) as backend,
    ):
        uuids = bury(db, "in", 1_500, traceback="")
        take = getattr(DeadLetterPasses(backend.dead_letters), work)
        at = (await take(["in"], ALL, 40)).position
        before = proxy.passed(direction)
        at = (await take(["in"], ALL, 40, at)).position
        size = proxy.passed(direction) - before
        cuts = [*range(0, size, size // 20), *range(size - 6, size)]
        for byte_count in cuts:
            proxy.cut_after(byte_count, direction)
            # Mostly the driver asks again by itself.
            with contextlib.suppress(Unavailable):
                at = (await take(["in"], ALL, 40, at)).position
            await check_each_is_in_one_place(straight, work, uuids)
        assert proxy.connections > len(cuts) - 8
        proxy.restore()
        while at is not None:
            at = (await take(["in"], ALL, 1_000, at)).position
        assert await check_each_is_in_one_place(straight, work, uuids) == []
