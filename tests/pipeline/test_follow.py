"""A follower never gives up an id that has left the other side, whatever fails."""

import asyncio
from collections.abc import Sequence

import pytest
from follow_support import NAME, UUIDS, Journal, Site, failing, refusing
from pipeline_support import site as replica
from pipeline_support import vcon

from vconflow.adapters.clock import SystemClock
from vconflow.errors import (
    Conflict,
    InvalidVcon,
    NotFound,
    Permanent,
    Problem,
    Retryable,
    Unavailable,
)
from vconflow.model.identifiers import new_uuid
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.pipeline.follow import Follower
from vconflow.pipeline.follow_page import settle_page
from vconflow.ports.follow import Follow, Handed
from vconflow.testing.memory import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def follower(journal: Journal, site: Site, clock: ManualClock) -> Follower:
    follow = Follow(
        name=NAME, url="http://other", egress_list="out", into="in", interval=60, limit=10
    )
    return Follower(
        follow, site, journal, site, clock, lambda: 1.0, lambda: site.stopping, lease=30
    )


async def test_full_pages_are_pulled_one_after_the_other(
    follower: Follower, site: Site, journal: Journal
) -> None:
    pauses = [await follower.round() for _ in range(5)]
    assert pauses == [0, 0, 0, 0, 60]
    assert site.stored == UUIDS
    assert (journal.entries, journal.parked_ones, site.acknowledged) == ({}, {}, [])


async def test_leases_are_acknowledged_once_written_down(follower: Follower, site: Site) -> None:
    site.leases = True
    await follower.round()
    assert site.acknowledged == site.stored == UUIDS[:10]


async def test_a_lost_acknowledgement_loses_nothing(follower: Follower, site: Site) -> None:
    site.leases = True

    async def lost(receipts: Sequence[str]) -> None:
        raise Retryable("cut")

    site.acknowledge = lost  # type: ignore[method-assign]
    assert await follower.round() == 0
    assert site.stored == UUIDS[:10]


@pytest.mark.parametrize(
    ("reason", "fetch", "store"),
    [
        ("gone", lambda uuid: None if uuid == UUIDS[3] else uuid.encode(), None),
        ("refused", failing(Permanent("status 422"), UUIDS[3]), None),
        ("invalid", None, refusing(InvalidVcon([Problem(("uuid",), "is bad")]), UUIDS[3])),
    ],
)
async def test_what_cannot_be_had_is_parked(
    follower: Follower, site: Site, journal: Journal, reason: str, fetch: object, store: object
) -> None:
    site.fetch = fetch or site.fetch  # type: ignore[assignment]
    site.store = store or site.store  # type: ignore[assignment]
    assert await follower.round() == 0
    assert site.stored == UUIDS[:3] + UUIDS[4:10]
    assert {uuid: item.reason for uuid, item in journal.parked_ones.items()} == {UUIDS[3]: reason}
    assert journal.entries == {}


async def test_what_is_no_uuid_is_parked_and_never_asked_for(
    follower: Follower, site: Site, journal: Journal
) -> None:
    site.waiting = ["../config", UUIDS[0]]
    await follower.round()
    assert site.stored == [UUIDS[0]]
    assert journal.parked_ones["../config"].reason == "not_a_uuid"


async def test_a_changed_vcon_after_a_crash_is_not_stored_twice(
    follower: Follower, site: Site, journal: Journal
) -> None:
    site.store = refusing(Conflict("another body"), UUIDS[0])
    await follower.round()
    assert journal.entries == journal.parked_ones == {}


async def test_a_slow_answer_overwrites_no_newer_one(valkey_url: str) -> None:
    """The other side handed a vCon out again, since it had changed in between."""
    uuid, other = new_uuid(), new_uuid()
    versions = iter([(vcon(uuid, subject="older"), 0.1), (vcon(uuid, subject="newer"), 0.0)])

    class Other(Site):
        async def document(self, asked: str) -> bytes | None:
            if asked == other:
                return vcon(other)
            document, delay = next(versions)
            await asyncio.sleep(delay)
            return document

    follow = Follow(name=NAME, url="http://other", egress_list="out", into="in")
    ids = [Handed("1-0", uuid), Handed("2-0", other), Handed("3-0", uuid.upper())]
    async with replica(valkey_url, Chain("main", lists=("in",)), start=False) as it:
        other_side = Other(Journal())
        page = await settle_page(follow, ids, other_side, it.ingest, SystemClock())
        assert sorted(handed.entry for handed in page.done) == ["1-0", "2-0", "3-0"]
        held = await it.lookup.get(uuid)
        assert held is not None
        assert Vcon(held).subject == "newer"
        depth = (await it.backend.stream.depth(["in"]))["in"]
        assert depth.waiting == 3


async def test_one_bad_document_holds_up_nothing(
    follower: Follower, site: Site, journal: Journal, clock: ManualClock
) -> None:
    site.fetch = failing(Retryable("status 500"), UUIDS[0])
    assert [await follower.round() for _ in range(5)] == [0, 0, 0, 0, 60]
    assert site.stored == UUIDS[1:]
    site.fetch = str.encode
    await clock.advance(11)
    await follower.round()
    assert site.stored[-1] == UUIDS[0]
    assert journal.entries == {}


async def test_eight_bad_documents_hold_up_nothing(
    follower: Follower, site: Site, journal: Journal, clock: ManualClock
) -> None:
    site.fetch = failing(Retryable("status 500"), *UUIDS[:8])
    for _ in range(9):
        await clock.advance(max(await follower.round(), 10.0))
    assert site.stored == UUIDS[8:]
    assert follower.state.error == "status 500"
    assert len(journal.entries) == 8


async def test_the_other_side_is_left_alone_as_long_as_it_asks(
    follower: Follower, site: Site, journal: Journal
) -> None:
    site.fetch = failing(Retryable("status 429", retry_after=90))
    assert await follower.round() >= 90
    assert len(journal.entries) == 10
    assert follower.state.error == "status 429"
    assert await follower.round() >= 90
    assert site.pulls == [10], "pulled although nothing can be fetched"


@pytest.mark.parametrize("error", [Unavailable("Redis"), NotFound("no such list")])
async def test_ids_wait_until_we_take_vcons_again(
    follower: Follower, site: Site, journal: Journal, error: Exception
) -> None:
    site.store = refusing(error)
    assert 0 < await follower.round() <= 60
    assert 0 < await follower.round() <= 60
    assert site.pulls == [10]
    site.store = lambda uuid: None
    await follower.round()
    await follower.round()
    assert sorted(site.stored) == UUIDS[:30]
    assert follower.state.error == ""


async def test_pauses_grow_up_to_a_minute(follower: Follower, site: Site) -> None:
    def away() -> None:
        raise Retryable("refused")

    site.before_pull = away
    pauses = [await follower.round() for _ in range(9)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


async def test_a_bug_ends_no_follower(follower: Follower, site: Site) -> None:
    def bug() -> None:
        raise ZeroDivisionError

    site.before_pull = bug
    assert await follower.round() == 1
    site.before_pull = lambda: None
    await follower.round()
    assert site.stored == UUIDS[:10]


async def test_popped_ids_are_written_down_as_soon_as_redis_is_back(
    follower: Follower, site: Site, journal: Journal, clock: ManualClock
) -> None:
    journal.failures = [Unavailable("away"), Permanent("odd"), Unavailable("away")]
    round_ = asyncio.create_task(follower.round())
    await clock.advance(30)
    await round_
    assert site.stored == UUIDS[:10]


async def test_a_stop_waits_for_ids_on_their_way(
    follower: Follower, site: Site, journal: Journal
) -> None:
    site.answering.clear()
    running = asyncio.create_task(follower.run())
    while not site.pulls:
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    finishing = asyncio.create_task(follower.finish())
    await asyncio.sleep(0)
    site.answering.set()
    await finishing
    assert [item.uuid for item in journal.entries] == UUIDS[:10]
    assert site.stored == []


async def test_nothing_is_pulled_while_the_process_stops(follower: Follower, site: Site) -> None:
    await follower.round()
    site.stopping = True
    await follower.round()
    assert site.pulls == [10]
    assert site.stored == UUIDS[:10]


async def test_nothing_is_pulled_into_a_list_that_no_chain_reads(
    journal: Journal, site: Site, clock: ManualClock
) -> None:
    follow = Follow(name=NAME, url="http://other", egress_list="out", into="in", is_read=False)
    follower = Follower(follow, site, journal, site, clock, lambda: 1.0, lambda: False, lease=30)
    assert await follower.round() > 0
    assert site.pulls == []
    assert follower.state.error == "nothing is pulled: no chain reads the list 'in'"


async def test_nothing_is_pulled_without_the_turn(
    follower: Follower, site: Site, journal: Journal
) -> None:
    journal.has_turn = False
    assert await follower.round() == 60
    assert site.pulls == []


async def test_nothing_is_pulled_while_much_waits(
    follower: Follower, site: Site, journal: Journal, clock: ManualClock
) -> None:
    later = clock.now() + 1e6
    journal.entries = {Handed(str(number), UUIDS[0]): later for number in range(1000)}
    assert await follower.round() > 0
    assert site.pulls == []
    assert "1000 ids wait" in follower.state.error
