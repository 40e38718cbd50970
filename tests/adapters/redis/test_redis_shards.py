"""What shards are besides a backend: numbers, pages, other vCons, and how many there are."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from vconflow.adapters.redis.backend import RedisBackend, RedisOptions, open_backend
from vconflow.adapters.redis.keys import GROUP
from vconflow.adapters.redis.migration import open_migration
from vconflow.adapters.redis.shards.numbering import Numbering
from vconflow.errors import ConfigError, Conflict
from vconflow.model.identifiers import new_uuid
from vconflow.model.validation import validate
from vconflow.ports.documents import Search
from vconflow.ports.history import HistoryRecord
from vconflow.ports.intake import Acceptance, Enqueuing, Idempotency
from vconflow.ports.ledger import Bury, Commit, Defer, Finish, Progress, Target, Verdict
from vconflow.ports.stream import ReadRequest
from vconflow.testing.contracts.backend import accept, acceptance, commit, fill, read, vcon

SHARDS = 3
NUMBERING = Numbering(SHARDS)


@pytest.fixture
async def sharded(valkey_url: str) -> AsyncIterator[RedisBackend]:
    options = RedisOptions(replica="one", lease=0.4, egress_lease=0.4, shards=SHARDS)
    async with open_backend(valkey_url, options) as backend:
        yield backend


def uuid_of(shard: int) -> str:
    """A new uuid that belongs to a shard."""
    while NUMBERING.of_uuid(uuid := new_uuid()) != shard:
        pass
    return uuid


def test_ids_of_all_shards_are_different_and_in_order() -> None:
    inner = [f"{ms}-{number}" for ms in (0, 5, 1700) for number in (0, 1, 7)]
    whole = {NUMBERING.whole(shard, name): (shard, name) for name in inner for shard in range(3)}
    assert len(whole) == 3 * len(inner)
    assert {name: NUMBERING.inner(name) for name in whole} == whole
    # What comes after an id, whatever its shard: told by the ids within each shard alone.
    key = {name: tuple(map(int, name.split("-"))) for name in [*whole, *inner]}
    for bound in whole:
        for name, (shard, inside) in whole.items():
            last = NUMBERING.last_until(bound, shard)
            if last != "0-0":
                until = tuple(map(int, last.split("-")))
                assert (key[inside] <= until) == (key[name] <= key[bound]), (bound, name)


async def test_every_shard_gets_its_part(sharded: RedisBackend, valkey_url: str) -> None:
    uuids = await fill(sharded, "in", 60)
    async with Redis.from_url(valkey_url, decode_responses=True) as client:
        for shard in range(SHARDS):
            own = [uuid for uuid in uuids if NUMBERING.of_uuid(uuid) == shard]
            assert len(own) > 5
            rows = await client.xrange(f"{{s{shard}}}vconflow:list:in")
            assert [fields["uuid"] for _, fields in rows] == own
            assert await client.zcard(f"{{s{shard}}}vcons") == len(own)
        # Nothing is anywhere else.
        assert [key async for key in client.scan_iter() if not key.startswith("{s")] == []


@pytest.mark.parametrize("offset", [0, 7, 5_010, 5_990])
async def test_pages_are_in_order_over_all_shards(sharded: RedisBackend, offset: int) -> None:
    known = []
    for shard, place in enumerate(sharded.places):
        times = {f"{shard}-{number:05}": number * 3 + shard for number in range(2_000)}
        known += times.items()
        await place.connections.commands.zadd(place.keys.created, times)
    newest = [name for name, _ in sorted(known, key=lambda it: it[1], reverse=True)]
    found = await sharded.documents.page(offset=offset, limit=20, since=None, until=None)
    assert found == newest[offset : offset + 20]
    bounds = {"since": 1_000.0, "until": 5_800.0}
    scores = dict(known)
    chosen = [name for name in newest if 1_000 <= scores[name] <= 5_800]
    found = await sharded.documents.page(offset=offset, limit=20, **bounds)
    assert found == chosen[offset : offset + 20]


async def test_a_deep_page_among_vcons_of_the_same_second(sharded: RedisBackend) -> None:
    for place in sharded.places:
        times = {f"{place.keys.tag}{number:05}": 7.0 for number in range(2_000)}
        await place.connections.commands.zadd(place.keys.created, times)
    pages = [
        await sharded.documents.page(offset=offset, limit=500, since=None, until=None)
        for offset in range(0, 6_500, 500)
    ]
    assert len({name for page in pages for name in page}) == 6_000
    assert pages[-1] == []


async def test_a_search_finds_the_newest_first_wherever_they_are(sharded: RedisBackend) -> None:
    documents = [vcon(uuid_of(shard)) for shard in (2, 0, 1, 0)]
    for document in documents:
        await accept(sharded, document)
        await asyncio.sleep(0.002)
    found = await sharded.documents.search(Search(tel="+15550100", name="Ann"))
    assert found == [json.loads(document)["uuid"] for document in reversed(documents)]


async def test_a_key_of_another_request_is_known_in_every_shard(sharded: RedisBackend) -> None:
    one, two = (Idempotency("key", mark * 32) for mark in "12")
    first, second = vcon(uuid_of(0)), vcon(uuid_of(1))
    (receipt,) = await sharded.intake.accept([asked(first, one)])
    outcomes = await sharded.intake.accept(
        [acceptance(vcon(), "in"), asked(second, two), asked(first, one), acceptance(vcon(), "in")]
    )
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, True, False, False]
    assert isinstance(outcomes[1], Conflict)
    assert outcomes[2].repeated
    assert await sharded.intake.recall(one) == outcomes[2]
    with pytest.raises(Conflict):
        await sharded.intake.enqueue(Enqueuing([uuid_of(2)], "in", idempotency=two))
    assert receipt.rev == outcomes[2].rev


def asked(document: bytes, idempotency: Idempotency) -> Acceptance:
    return Acceptance(validate(document), document, ("in",), idempotency=idempotency)


async def test_a_waiting_read_takes_no_more_than_there_is_room_for(sharded: RedisBackend) -> None:
    await sharded.stream.ensure(["in"])
    for _ in range(5):
        reading = asyncio.create_task(sharded.stream.read([ReadRequest(("in",), 1)], 1, 5.0))
        await asyncio.sleep(0.05)
        batch = [acceptance(vcon(uuid_of(shard)), "in") for shard in range(SHARDS)]
        await sharded.intake.accept(batch)
        assert len(await reading) == 1
    depth = (await sharded.stream.depth(["in"]))["in"]
    assert (depth.waiting, depth.pending) == (5 * (SHARDS - 1), 5)
    rest = await sharded.stream.read([ReadRequest(("in",), 100)], 100, 0.0)
    assert len(rest) == 5 * (SHARDS - 1)


async def test_what_comes_while_the_lists_change_is_seen(sharded: RedisBackend) -> None:
    for name in ("a", "b", "c", "a", "d"):
        lists = (name, "x")
        await sharded.stream.ensure(lists)
        reading = asyncio.create_task(sharded.stream.read([ReadRequest(lists, 9)], 9, 20.0))
        await asyncio.sleep(0.02)
        await accept(sharded, vcon(), name)
        assert [entry.list for entry in await asyncio.wait_for(reading, 10)] == [name]


async def test_a_stream_that_was_deleted_by_hand_is_made_again(
    sharded: RedisBackend, valkey_url: str
) -> None:
    await sharded.stream.ensure(["in"])
    assert await sharded.stream.read([ReadRequest(("in",), 1)], 1, 0.05) == []
    async with Redis.from_url(valkey_url) as client:
        await client.delete(*[f"{{s{shard}}}vconflow:list:in" for shard in range(SHARDS)])
    uuids = await fill(sharded, "in", 9)
    entries = []
    async with asyncio.timeout(20):
        while len(entries) < 9:
            entries += await sharded.stream.read([ReadRequest(("in",), 9)], 9, 6.0)
    assert Counter(entry.uuid for entry in entries) == Counter(uuids)


# A link goes on with a vCon of another shard.


async def replaced(backend: RedisBackend) -> tuple[Commit, dict[str, object]]:
    """A commit that writes another vCon than that of its entry; what it is made of."""
    here, there = uuid_of(0), uuid_of(1)
    await accept(backend, vcon(here), "in")
    await accept(backend, vcon(there))
    (entry,) = await read(backend, "in")
    (found,) = await backend.documents.fetch([there])
    record = HistoryRecord(kind="completed", chain="main")
    values = {"rev": found.rev, "born": found.born, "record": record}
    return Commit(entry, there, document=vcon(there, subject="new"), **values), values


def but(item: Commit, **values: object) -> Commit:
    fields = {name: getattr(item, name) for name in item.__struct_fields__}
    return Commit(**fields | values)


FINISH = Finish(origin="chain:main", targets=(Target("out", False), Target("next", True)))


async def test_it_is_written_and_handed_on_in_its_own_shard(sharded: RedisBackend) -> None:
    item, _ = await replaced(sharded)
    result = await commit(sharded, but(item, then=FINISH))
    assert result.verdict is Verdict.DONE
    (found,) = await sharded.documents.fetch([item.uuid])
    assert (found.document, found.rev) == (item.document, result.rev)
    for name in ("out", "next"):
        (entry,) = await read(sharded, name)
        assert entry.uuid == item.uuid
        assert NUMBERING.inner(entry.id)[0] == NUMBERING.of_uuid(item.uuid)
    depth = (await sharded.stream.depth(["in"]))["in"]
    assert (depth.waiting, depth.pending) == (0, 0)
    for uuid in (item.uuid, item.entry.uuid):
        assert [it.kind for it in await sharded.history.of(uuid)][-1] == "completed"


async def test_it_is_handed_on_once_when_its_entry_did_not_end(
    sharded: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies between the two shards: whoever takes over hands nothing on again."""
    item, _ = await replaced(sharded)

    async def dies(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setattr(sharded.ledger, "_end", dies)
        (outcome,) = await sharded.ledger.commit([but(item, then=FINISH)])
        assert isinstance(outcome, ConnectionResetError)
    assert (await sharded.stream.depth(["in"]))["in"].pending == 1
    result = await commit(sharded, but(item, then=FINISH))
    assert result.verdict is Verdict.DONE
    assert len(await read(sharded, "out")) == 1
    assert (await sharded.stream.depth(["in"]))["in"].pending == 0


async def test_it_is_written_by_the_owner_of_the_entry_only(sharded: RedisBackend) -> None:
    item, _ = await replaced(sharded)
    shard, entry = NUMBERING.inner(item.entry.id)
    place = sharded.places[shard]
    await place.connections.commands.xclaim(place.keys.list("in"), GROUP, "other", 0, [entry])
    assert (await commit(sharded, item)).verdict is Verdict.LOST
    (found,) = await sharded.documents.fetch([item.uuid])
    assert found.rev == item.rev


async def test_it_has_changed_or_was_deleted_meanwhile(sharded: RedisBackend) -> None:
    item, _ = await replaced(sharded)
    newer = await accept(sharded, vcon(item.uuid, subject="theirs"))
    result = await commit(sharded, but(item, then=FINISH))
    assert (result.verdict, result.rev) == (Verdict.MOVED, newer.rev)
    await sharded.documents.delete(item.uuid, None)
    assert (await commit(sharded, but(item, then=FINISH))).verdict is Verdict.DELETED
    assert await read(sharded, "out") == []
    assert (await sharded.stream.depth(["in"]))["in"].pending == 1
    # Its copies are gone: the entry ends.
    ended = await commit(sharded, but(item, document=None, then=Finish(deleted=True)))
    assert ended.verdict is Verdict.DONE
    assert (await sharded.stream.depth(["in"]))["in"].pending == 0


async def test_one_batch_has_both_kinds(sharded: RedisBackend) -> None:
    item, _ = await replaced(sharded)
    await accept(sharded, vcon(uuid_of(0)), "in")
    (entry,) = await read(sharded, "in")
    plain = Commit(entry, entry.uuid, then=Finish())
    batch = [but(item, then=FINISH), plain, but(item, then=FINISH), plain]
    outcomes = await sharded.ledger.commit(batch)
    assert [outcome.verdict for outcome in outcomes[:2]] == [Verdict.DONE] * 2
    assert outcomes[3].verdict is Verdict.LOST
    assert len(await read(sharded, "out")) == 1


@pytest.mark.parametrize("deleted", [False, True])
async def test_its_entry_waits_ends_or_is_buried(sharded: RedisBackend, deleted: bool) -> None:
    """Also when the vCon of the entry itself was deleted meanwhile."""
    item, _ = await replaced(sharded)
    if deleted:
        await sharded.documents.delete(item.entry.uuid, None)
    progress = Progress(next_link="b", uuid=item.uuid, due=5)
    written = await commit(sharded, but(item, then=Defer(progress)))
    assert written.verdict is Verdict.DONE
    await sharded.stream.hand_over({"in": [item.entry.id]})
    (again,) = await sharded.stream.take_over("in", 10)
    assert again.entry.id == item.entry.id
    assert (again.progress.next_link, again.progress.uuid) == ("b", item.uuid)
    last = but(item, document=None, rev=written.rev)
    reason = Bury(progress, "main", "link:b", "Permanent", "no")
    for then in (reason, FINISH) if not deleted else (FINISH, reason):
        result = await commit(sharded, but(last, then=then))
        assert result.verdict in (Verdict.DONE, Verdict.LOST)
    depth = (await sharded.stream.depth(["in"]))["in"]
    assert (depth.pending, depth.dead) == (0, 0 if deleted else 1)


# How many there are


async def test_the_number_of_shards_stays(valkey_url: str) -> None:
    async with open_backend(valkey_url, RedisOptions(shards=2)):
        pass
    for wrong in (1, 3, None):
        with pytest.raises(ConfigError, match=r"VCONFLOW_SHARDS.* the data .* has 2 shard"):
            async with open_backend(valkey_url, RedisOptions(shards=wrong)):
                pass
    async with open_backend(valkey_url, RedisOptions(shards=2)):
        pass


async def test_a_conserver_is_not_taken_over_into_shards(valkey_url: str, cluster_url: str) -> None:
    async with open_backend(valkey_url, RedisOptions(shards=2)):
        pass
    for url, words in ((valkey_url, "has 2 shard"), (cluster_url, "no conserver")):
        with pytest.raises(ConfigError, match=words):
            async with open_migration(url, created_name="vcons", index_expiry=60):
                pass


async def test_data_without_shards_is_not_divided(valkey_url: str) -> None:
    async with open_backend(valkey_url, RedisOptions()) as backend:
        await accept(backend, vcon(), "in")
    with pytest.raises(ConfigError, match=r"VCONFLOW_SHARDS.* the data .* has 1 shard"):
        async with open_backend(valkey_url, RedisOptions(shards=2)):
            pass


async def test_one_name_is_held_in_all_shards_or_in_none(valkey_url: str) -> None:
    async with Redis.from_url(valkey_url) as client:
        # Somebody elsewhere, whose hold on the other shards has ended a moment ago.
        await client.set("{s1}vconflow:consumer:one", "elsewhere/1/x", px=60_000)
        options = RedisOptions(replica="one", shards=3)
        async with open_backend(valkey_url, options) as backend:
            assert backend.stream.consumer == "one-2"
            assert await client.keys("{s?}vconflow:consumer:one") == [b"{s1}vconflow:consumer:one"]
            assert len(await client.keys("{s?}vconflow:consumer:one-2")) == 3
        assert await client.keys("{s?}vconflow:consumer:one-2") == []
