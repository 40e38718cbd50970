"""The feed of events: one subscription for all, and nobody waits for the slow."""

import asyncio

import pytest

from vconflow.adapters.clock import SystemClock
from vconflow.errors import Overloaded, Unavailable
from vconflow.pipeline import event_feed
from vconflow.pipeline.event_feed import EventFeed, Gap, Listener
from vconflow.ports.history import HistoryRecord
from vconflow.testing.event_channel import EventChannel


def record(uuid: str, **values: str) -> HistoryRecord:
    return HistoryRecord(kind="accepted", uuid=uuid, at=1, **values)


def everything(record: HistoryRecord) -> bool:
    return True


@pytest.fixture
def channel() -> EventChannel:
    return EventChannel()


@pytest.fixture
def feed(channel: EventChannel) -> EventFeed:
    return EventFeed(channel, SystemClock(), limit=3)


def uuids(found: list[HistoryRecord | Gap]) -> list[str]:
    return [event.uuid if isinstance(event, HistoryRecord) else "gap" for event in found]


async def test_one_subscription_from_the_first_listener_to_the_last(
    feed: EventFeed, channel: EventChannel
) -> None:
    assert channel.begun == 0
    async with feed.listen(everything) as first:
        async with feed.listen(everything) as second:
            assert (channel.begun, len(channel.heard), feed.listeners) == (1, 1, 2)
            channel.tell(record("a"))
            assert uuids(await first.next()) == uuids(await second.next()) == ["a"]
        assert len(channel.heard) == 1
    assert (len(channel.heard), feed.listeners) == (0, 0)
    async with feed.listen(everything):
        assert channel.begun == 2


async def test_each_hears_what_it_wants(feed: EventFeed, channel: EventChannel) -> None:
    async with (
        feed.listen(lambda it: it.uuid == "b") as choosy,
        feed.listen(everything) as other,
    ):
        for name in "abc":
            channel.tell(record(name))
        assert uuids(await choosy.next()) == ["b"]
        assert uuids(await other.next()) == ["a", "b", "c"]


async def test_who_is_too_slow_is_dropped_alone(feed: EventFeed, channel: EventChannel) -> None:
    async with feed.listen(everything) as slow, feed.listen(everything) as quick:
        heard = []
        for number in range(1_500):
            channel.tell(record(str(number)))
            heard += await quick.next()
        assert (quick.ended, len(heard)) == ("", 1_500)
        assert (slow.ended, slow.missed) == ("slow", 500)
        assert uuids(await slow.next()) == [str(number) for number in range(1_000)]
        channel.tell(record("more"))
        assert await slow.next() == []
        assert slow.missed == 501


async def test_long_errors_fill_the_room_sooner(feed: EventFeed, channel: EventChannel) -> None:
    async with feed.listen(everything) as slow:
        for number in range(200):
            channel.tell(record(str(number), error="x" * 10_000))
        assert slow.ended == "slow"
        kept = await slow.next()
        assert sum(len(it.error) for it in kept if isinstance(it, HistoryRecord)) < 1 << 20
        assert len(kept) + slow.missed == 200


async def test_a_lost_subscription_comes_back_with_a_gap(
    feed: EventFeed, channel: EventChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_feed, "_PAUSE", 0.01)
    async with feed.listen(everything) as listener:
        channel.tell(record("a"))
        assert uuids(await listener.next()) == ["a"]
        await channel.break_off()
        assert uuids(await asyncio.wait_for(listener.next(), 10)) == ["gap"]
        channel.tell(record("b"))
        assert uuids(await listener.next()) == ["b"]
        assert channel.begun == 2


async def test_nobody_listens_while_redis_is_away(
    feed: EventFeed, channel: EventChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_feed, "_PAUSE", 0.01)
    monkeypatch.setattr(event_feed, "_PATIENCE", 0.05)
    channel.error = Unavailable("away")
    with pytest.raises(Unavailable):
        async with feed.listen(everything):
            pytest.fail("it listens")
    assert feed.listeners == 0
    channel.error = None
    async with feed.listen(everything) as listener:
        channel.tell(record("a"))
        assert uuids(await listener.next()) == ["a"]


async def test_the_number_of_listeners_is_limited(feed: EventFeed) -> None:
    async with feed.listen(everything), feed.listen(everything):
        async with feed.listen(everything):
            with pytest.raises(Overloaded) as refused:
                async with feed.listen(everything):
                    pytest.fail("a fourth one listens")
            assert refused.value.retry_after
        async with feed.listen(everything):
            pass


async def test_closing_ends_every_listener_after_what_it_has(
    feed: EventFeed, channel: EventChannel
) -> None:
    async with feed.listen(everything) as one, feed.listen(everything) as two:
        waiting = asyncio.create_task(two.next())
        await asyncio.sleep(0)
        channel.tell(record("a"))
        feed.close()
        assert uuids(await one.next()) == uuids(await waiting) == ["a"]
        assert (await one.next(), await two.next(), one.ended) == ([], [], "stopping")
    with pytest.raises(Unavailable):
        async with feed.listen(everything):
            pytest.fail("it listens")


async def test_a_bug_of_the_source_ends_the_listeners_and_not_the_feed(
    feed: EventFeed, channel: EventChannel
) -> None:
    async with feed.listen(everything) as listener:
        channel.error = ZeroDivisionError()
        await channel.break_off(channel.error)
        assert await asyncio.wait_for(listener.next(), 10) == []
        assert listener.ended == "failed"
        channel.error = None
    async with feed.listen(everything) as other:
        channel.tell(record("a"))
        assert uuids(await other.next()) == ["a"]


async def test_an_event_while_nobody_waits_is_not_forgotten() -> None:
    listener = Listener(everything)
    listener.put(record("a"))
    assert uuids(await listener.next()) == ["a"]
    listener.put(record("b"))
    listener.put(record("c"))
    assert uuids(await listener.next()) == ["b", "c"]
