"""The storage `mongo` on a server of MongoDB's protocol."""

import asyncio
import json
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop
from pymongo import AsyncMongoClient

from vconflow.adapters.storages.mongo import MongoOptions, MongoStorage
from vconflow.adapters.storages.mongo_errors import failure_of, is_held_already
from vconflow.errors import PartialFailure, Permanent, Retryable
from vconflow.model.entry import StoredVcon
from vconflow.ports.component import Resources, Secret
from vconflow.testing import servers
from vconflow.testing.contracts import (
    Outage,
    Refusal,
    StorageContract,
    StorageFaultsContract,
    resources_for,
)
from vconflow.testing.contracts.storage import AWKWARD, stored
from vconflow.testing.contracts.storage_faults import SECRET, reading
from vconflow.testing.tcp_proxy import Direction, tcp_proxy

Collection = Any

_IMPATIENT = "?serverSelectionTimeoutMS=100&heartbeatFrequencyMS=500"


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    return resources_for(tmp_path)


@pytest.fixture
def database() -> str:
    """A database of its own for each test."""
    return f"test_{uuid.uuid4().hex}"


@pytest.fixture
async def vcons(mongo_server: servers.MongoServer, database: str) -> AsyncIterator[Collection]:
    """The collection, to look at the documents."""
    async with AsyncMongoClient[dict[str, Any]](mongo_server.url, tz_aware=True) as client:
        yield client[database]["vcons"]


@asynccontextmanager
async def opened(url: str, resources: Resources, database: str) -> AsyncIterator[MongoStorage]:
    options = MongoOptions(url=Secret(url), database=database)
    async with MongoStorage.open(options, resources) as storage:
        yield storage


@pytest.fixture
async def storage(
    mongo_server: servers.MongoServer, resources: Resources, database: str
) -> AsyncIterator[MongoStorage]:
    async with opened(mongo_server.url, resources, database) as storage:
        yield storage


class TestMongoStorage(StorageContract):
    @pytest.fixture
    async def storage(
        self, mongo_server: servers.MongoServer, resources: Resources, database: str
    ) -> AsyncIterator[MongoStorage]:
        async with opened(mongo_server.url, resources, database) as storage:
            yield storage


class TestMongoStorageFaults(StorageFaultsContract):
    @pytest.fixture
    async def outage(
        self, mongo_server: servers.MongoServer, resources: Resources, database: str
    ) -> AsyncIterator[Outage]:
        async with tcp_proxy(f"127.0.0.1:{mongo_server.port}") as proxy:

            async def begin() -> None:
                proxy.refuse()

            async def end() -> None:
                proxy.restore()

            url = f"mongodb://127.0.0.1:{proxy.port}/{_IMPATIENT}&directConnection=true"
            async with opened(url, resources, database) as storage:
                yield Outage(storage, begin, end, reading(storage))

    @pytest.fixture
    async def refusal(self, storage: MongoStorage, vcons: Collection) -> Refusal:
        """Another has the subject that only one may have."""
        one, bad = (stored(members=f',"subject":"{SECRET}"') for _ in range(2))
        await storage.put([one])
        await vcons.create_index("subject", unique=True, sparse=True)
        return Refusal(storage, bad, reading(storage))


async def test_keeps_the_shape_of_the_reference(storage: MongoStorage, vcons: Collection) -> None:
    members = (
        ',"subject":"s","parties":[{"tel":"+1555"}],"dialog":[{"type":"text",'
        '"start":"2024-03-14T09:26:53.589+02:00"},{"type":"text","start":"someday"},7]'
    )
    vcon = stored(rev=3, members=members, created_at=1_760_000_000.25)
    await storage.put([vcon])
    document = await vcons.find_one({"parties.tel": "+1555"})
    assert document.pop("_vconflow") == {"document": vcon.document, "rev": 3}
    assert document.pop("created_at") == datetime.fromtimestamp(1_760_000_000.25, UTC)
    assert document.pop("dialog") == [
        {"type": "text", "start": datetime(2024, 3, 14, 7, 26, 53, 589_000, UTC)},
        {"type": "text", "start": "someday"},
        7,
    ]
    assert document == {
        "_id": vcon.uuid,
        "uuid": vcon.uuid,
        "vcon": "0.0.1",
        "subject": "s",
        "parties": [{"tel": "+1555"}],
    }


async def test_keeps_the_members_of_all_but_those_it_cannot_hold(
    storage: MongoStorage, vcons: Collection
) -> None:
    odd = {
        **AWKWARD,
        "an operator": ',"$set":1',
        "a name with 0": ',"a\\u0000b":1',
        "dots and dollars": ',"a.b":1,"meta":{"$x":1,"":2}',
        "own names": ',"_id":1,"_vconflow":2',
    }
    batch = {name: stored(members=members) for name, members in odd.items()}
    await storage.put([*batch.values()])
    bare = {document["_id"] async for document in vcons.find({"uuid": {"$exists": False}})}
    without = {"deep", "huge exponent", "an operator", "a name with 0"}
    assert {name for name, vcon in batch.items() if vcon.uuid in bare} == without
    for vcon in batch.values():
        assert await storage.get(vcon.uuid) == vcon.document
    numbers = await vcons.find_one({"_id": batch["numbers"].uuid})
    assert numbers["meta"] == {"big": 123456789012345678901234567890.0, "f": 1.1, "e": 1e5}


async def test_takes_over_what_the_reference_wrote(
    storage: MongoStorage, vcons: Collection
) -> None:
    old, new = stored(), stored(members=',"subject":"new"')
    start = datetime(2024, 3, 14, 9, 26, 53, tzinfo=UTC)
    for vcon in (old, new):
        document = {"_id": vcon.uuid, "uuid": vcon.uuid, "created_at": start, "n": 1 << 40}
        await vcons.insert_one({**document, "dialog": [{"start": start}]})
    await storage.put([new])
    assert await storage.get(new.uuid) == new.document
    text = "2024-03-14T09:26:53.000000+00:00"
    assert json.loads(await storage.get(old.uuid) or b"") == {
        "uuid": old.uuid,
        "created_at": text,
        "n": 1 << 40,
        "dialog": [{"start": text}],
    }
    assert await storage.delete(old.uuid)


async def test_one_that_is_too_large_does_not_fail_the_others(storage: MongoStorage) -> None:
    small = stored()
    near = stored(members=f',"subject":"{"x" * 9_000_000}"')  # twice that is too much
    large = stored(members=f',"subject":"{"x" * 17_000_000}"')
    with pytest.raises(PartialFailure) as caught:
        await storage.put([large, small, near])
    (failure,) = caught.value.failures.values()
    assert list(caught.value.failures) == [large.uuid]
    assert isinstance(failure, Permanent)
    assert "16 MiB" in str(failure)
    assert await storage.get(small.uuid) == small.document
    assert await storage.get(near.uuid) == near.document


async def test_of_two_replicas_the_newer_revision_wins(
    mongo_server: servers.MongoServer, resources: Resources, database: str
) -> None:
    batch = [stored() for _ in range(30)]
    revisions = [
        [stored(vcon.uuid, rev=rev, members=f',"x":{rev}') for vcon in batch] for rev in range(1, 7)
    ]
    async with (
        opened(mongo_server.url, resources, database) as one,
        opened(mongo_server.url, resources, database) as other,
    ):
        await asyncio.gather(
            *(replica.put(vcons) for vcons in revisions for replica in (one, other))
        )
        for vcon in revisions[-1]:
            assert await one.get(vcon.uuid) == vcon.document


@pytest.mark.parametrize(
    ("error", "held"),
    [
        ({"code": 11000, "keyPattern": {"_id": 1}}, True),
        ({"code": 11000, "errmsg": "E11000 duplicate key error index: _id_ dup key"}, True),
        ({"code": 11000, "keyPattern": {"subject": 1}, "errmsg": "_id_"}, False),
        ({"code": 11000, "errmsg": "E11000 index: subject_1 dup key"}, False),
        ({"code": 121, "keyPattern": {"_id": 1}}, False),
    ],
)
def test_what_is_held_already(error: dict[str, Any], *, held: bool) -> None:
    assert is_held_already(error) is held


def test_errors_of_one_write() -> None:
    assert isinstance(failure_of({"code": 121, "errmsg": "secret"}), Permanent)
    for code in (13, 10107, 91, 0):  # rights, no primary, shutting down, unknown
        failure = failure_of({"code": code, "errmsg": "secret"})
        assert isinstance(failure, Retryable)
        assert str(failure) == f"MongoDB: error {code}"


async def test_an_outage_ends_and_a_wrong_password_says_so(
    resources: Resources, database: str
) -> None:
    batch = [stored() for _ in range(5)]
    async with servers.mongo() as server:
        async with AsyncMongoClient[dict[str, Any]](server.url) as client:
            roles = [{"role": "readWriteAnyDatabase", "db": "admin"}]
            await client.admin.command("createUser", "me", pwd="right", roles=roles)
        url = server.url.replace("//", "//me:right@") + _IMPATIENT
        async with opened(url, resources, database) as storage:
            await storage.put(batch)
            server.stop_signal = signal.SIGTERM  # what it was told is on disk then
            await server.stop()
            for call in (storage.put(batch), storage.get(batch[0].uuid), storage.ping()):
                with pytest.raises(Retryable):
                    await call
            with pytest.raises(Retryable, match="no server answers"):
                await storage.put(batch)
            server.auth = True
            await server.start()
            await _until_it_works(storage, batch)
            assert [await storage.get(v.uuid) for v in batch] == [v.document for v in batch]
        async with opened(url.replace("right", "wr0ng"), resources, database) as storage:
            with pytest.raises(Retryable, match="MongoDB: AuthenticationFailed") as caught:
                await storage.put(batch)
            assert "wr0ng" not in str(caught.value)
        server.stop_signal = signal.SIGKILL


async def _until_it_works(storage: MongoStorage, batch: list[StoredVcon]) -> None:
    # The driver looks for a server twice a second at most.
    async with asyncio.timeout(30):
        while True:
            try:
                return await storage.put(batch)
            except Retryable:
                await asyncio.sleep(0.05)


def _batch() -> list[StoredVcon]:
    return [stored(members=',"subject":"' + "x" * 2000 + '"') for _ in range(50)]


@pytest.mark.parametrize("direction", Direction)
async def test_a_cut_in_the_middle_of_a_batch_is_made_good_by_the_next_try(
    mongo_server: servers.MongoServer, resources: Resources, database: str, direction: Direction
) -> None:
    async with tcp_proxy(f"127.0.0.1:{mongo_server.port}") as proxy:
        url = f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true&retryWrites=false"
        async with opened(url, resources, database) as storage:
            await storage.put(_batch())
            before = proxy.passed(direction)
            await storage.put(_batch())
            size = proxy.passed(direction) - before
            failed = 0
            for number in range(6):
                vcons = _batch()
                proxy.cut_after(1 + (size - 1) * number // 6, direction)
                try:
                    await storage.put(vcons)
                except Retryable:
                    failed += 1
                    await storage.put(vcons)
                assert [await storage.get(v.uuid) for v in vcons] == [v.document for v in vcons]
            # Some cuts hit the driver's own look at the server instead.
            assert failed >= 3


async def test_a_write_that_was_given_up_leaves_no_answer_to_the_next(
    mongo_server: servers.MongoServer, resources: Resources, database: str
) -> None:
    async with tcp_proxy(f"127.0.0.1:{mongo_server.port}") as proxy:
        url = f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true"
        async with opened(url, resources, database) as storage:
            vcon = stored()
            await storage.put([vcon])
            proxy.stall(Direction.REPLIES)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await storage.put([vcon])
            proxy.restore()
            assert await storage.get(vcon.uuid) == vcon.document


def test_on_the_loop_of_the_server(
    mongo_server: servers.MongoServer, resources: Resources, database: str
) -> None:
    vcon = stored()

    async def use() -> bytes | None:
        async with opened(mongo_server.url, resources, database) as storage:
            await storage.put([vcon])
            return await storage.get(vcon.uuid)

    assert uvloop.run(use()) == vcon.document


@pytest.mark.parametrize(
    "url", ["http://x", "mongodb://u:pa/ss@h", "mongodb://h:x/", "mongodb+srv://", ""]
)
def test_refuses_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match=r"url: expected mongodb://") as caught:
        MongoOptions(url=Secret(url))
    assert "pa/ss" not in str(caught.value)


@pytest.mark.parametrize("raw", [{"database": ""}, {"collection": ""}, {"host": "x"}])
def test_refuses_options(raw: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(raw, MongoOptions)


def test_options_of_the_reference_load() -> None:
    url = "mongodb://root:example@mongo:27017/"
    raw = {"name": "mongo", "url": url, "database": "conserver", "collection": "vcons"}
    options = msgspec.convert(raw, MongoOptions, dec_hook=lambda kind, value: kind(value))
    assert options.url.reveal() == url


async def test_writes_wait_for_a_journal_unless_told_otherwise(resources: Resources) -> None:
    for query, expected in [("", {"w": "majority", "j": True}), ("?w=1&JOURNAL=false", {"w": 1})]:
        # Python 3.13 refuses to split such hosts from what follows.
        url = f"mongodb://127.0.0.1:1,[::1]:1/{query}"
        async with opened(url, resources, "x") as storage:
            concern = storage._client.write_concern.document
        assert {"j": False} | concern == {"j": False} | expected
