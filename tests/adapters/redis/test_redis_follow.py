"""The journal of followers on a real Redis."""

from collections.abc import AsyncIterator

import pytest

from vconflow.adapters.redis.client import open_redis
from vconflow.adapters.redis.follow import RedisFollowJournal
from vconflow.adapters.redis.keys import Keys
from vconflow.ports.follow import Handed, Parked

NAME = "upstream"
HANDED = [Handed(f"1700-ab-{number:06}", f"uuid {number}") for number in range(5)]


@pytest.fixture
async def journals(redis_url: str) -> AsyncIterator[list[RedisFollowJournal]]:
    async with open_redis(redis_url) as connections:
        client = connections.commands
        yield [RedisFollowJournal(client, Keys(), name) for name in ("one", "two")]


async def test_ids_come_due_in_order_and_leave_when_done(
    journals: list[RedisFollowJournal],
) -> None:
    journal = journals[0]
    await journal.add(NAME, HANDED[:3], 100.0)
    await journal.add(NAME, HANDED[3:], 99.5)
    await journal.add(NAME, HANDED[:3], 50.0)  # repeated: nothing changes
    assert await journal.due(NAME, 99.0, 10) == []
    assert await journal.due(NAME, 100.0, 4) == [*HANDED[3:], *HANDED[:2]]
    assert await journal.due("other", 1e9, 10) == []
    await journal.done(NAME, HANDED[3:])
    await journal.postpone(NAME, [HANDED[0], HANDED[4]], 200.0)
    assert await journal.due(NAME, 199.0, 10) == HANDED[1:3]
    assert await journal.waiting(NAME) == (3, 0), "what is done came back by being postponed"


async def test_parked_ids_are_kept_and_can_be_tried_again(
    journals: list[RedisFollowJournal],
) -> None:
    journal = journals[0]
    await journal.add(NAME, HANDED, 100.0)
    parked = [Parked(it.entry, it.uuid, "gone", "404", 120.0 + i) for i, it in enumerate(HANDED)]
    await journal.park(NAME, parked[:2])
    await journal.park(NAME, parked[:2])
    assert await journal.waiting(NAME) == (3, 2)
    assert await journal.parked(NAME, 10) == parked[:2]
    assert await journal.parked(NAME, 1) == parked[:1]
    assert await journal.unpark(NAME, 90.0) == 2
    assert await journal.due(NAME, 95.0, 10) == HANDED[:2]
    assert await journal.waiting(NAME) == (5, 0)


async def test_one_replica_at_a_time_has_the_turn(journals: list[RedisFollowJournal]) -> None:
    one, two = journals
    assert await one.hold(NAME, 30)
    assert await one.hold(NAME, 30), "the same replica after a crash"
    assert not await two.hold(NAME, 30)
    await two.release(NAME)
    assert not await two.hold(NAME, 30)
    await one.release(NAME)
    assert await two.hold(NAME, 0.001)
    while not await one.hold(NAME, 30):
        pass  # until the turn has ended by itself
