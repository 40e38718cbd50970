"""The S3 storage on a real S3."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from fault_support import killing

from vconflow.adapters.objects import S3Objects
from vconflow.adapters.storages.s3 import S3Options, S3Storage
from vconflow.errors import Conflict, PartialFailure, Permanent, Retryable
from vconflow.model.entry import StoredVcon
from vconflow.model.identifiers import new_uuid
from vconflow.pipeline.fanout import Fanout, StorageUnit
from vconflow.ports.component import Secret
from vconflow.ports.objects import Bucket, BucketAccess
from vconflow.testing import servers
from vconflow.testing.contracts import (
    Outage,
    Refusal,
    StorageContract,
    StorageFaultsContract,
    resources_for,
)
from vconflow.testing.contracts.storage import stored
from vconflow.testing.contracts.storage_faults import SECRET, reading
from vconflow.testing.memory_objects import MemoryObjects
from vconflow.testing.tcp_proxy import Direction, tcp_proxy

DAY = 86_400.0
MB = 1024 * 1024


def options_for(access: BucketAccess, **others: Any) -> S3Options:
    return S3Options(
        aws_bucket=access.bucket,
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
        endpoint_url=access.endpoint_url,
        **others,
    )


@asynccontextmanager
async def open_s3(access: BucketAccess, path: Path, **others: Any) -> AsyncIterator[S3Storage]:
    resources = replace(resources_for(path), objects=S3Objects())
    async with S3Storage.open(options_for(access, **others), resources) as storage:
        yield storage


@pytest.fixture
async def opened(s3_access: BucketAccess, tmp_path: Path) -> AsyncIterator[S3Storage]:
    async with open_s3(s3_access, tmp_path) as storage:
        yield storage


@pytest.fixture
async def bucket(s3_access: BucketAccess) -> AsyncIterator[Bucket]:
    """The same bucket, past the storage."""
    async with S3Objects().bucket(s3_access) as found:
        yield found


async def keys_in(server: servers.S3Server, access: BucketAccess) -> list[str]:
    async with server.client() as client:
        listed = await client.list_objects_v2(Bucket=access.bucket)
    return sorted(found["Key"] for found in listed.get("Contents", ()))


class TestS3Storage(StorageContract):
    @pytest.fixture
    async def storage(self, opened: S3Storage) -> S3Storage:  # type: ignore[override]
        return opened


class TestS3StorageFaults(StorageFaultsContract):
    @pytest.fixture
    async def outage(self, tmp_path: Path) -> AsyncIterator[Outage]:
        (tmp_path / "s3").mkdir()
        async with servers.s3(tmp_path / "s3") as server:
            access = await server.make_bucket("vcons")
            async with open_s3(access, tmp_path) as storage:
                yield killing(server, storage, reading(storage))

    @pytest.fixture
    async def refusal(self, opened: S3Storage, bucket: Bucket) -> Refusal:
        """Its lookup cannot be trusted."""
        bad = stored(members=f',"subject":"{SECRET}"')
        await bucket.put(f"lookup/{bad.uuid}.txt", SECRET.encode(), "text/plain")

        async def holds(vcon: StoredVcon) -> bool:
            return vcon is not bad and await opened.get(vcon.uuid) == vcon.document

        return Refusal(opened, bad, holds)


class TestOnServersThatCompareVersions(StorageContract):
    """Swift refuses `If-Match`; what the storage does with it is tried on buckets in memory."""

    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncIterator[S3Storage]:  # type: ignore[override]
        async with S3Storage.open(S3Options(aws_bucket="b"), resources_for(tmp_path)) as storage:
            yield storage


# layout


@pytest.mark.parametrize(
    ("path", "before"), [(None, ""), ("vcons", "vcons/"), ("a/b/", "a/b/"), ("", "")]
)
async def test_lays_objects_out_as_the_reference_does(
    s3_server: servers.S3Server,
    s3_access: BucketAccess,
    bucket: Bucket,
    tmp_path: Path,
    path: str | None,
    before: str,
) -> None:
    vcon = stored(created_at=1_760_000_000.0)  # 2025-10-09 in UTC
    async with open_s3(s3_access, tmp_path, s3_path=path) as storage:
        await storage.put([vcon])
    key, lookup = f"{before}2025/10/09/{vcon.uuid}.vcon", f"{before}lookup/{vcon.uuid}.txt"
    assert await keys_in(s3_server, s3_access) == sorted([key, lookup])
    assert await bucket.get(lookup) == b"2025/10/09"
    assert await bucket.get(key) == vcon.document
    async with s3_server.client() as client:
        head = await client.head_object(Bucket=s3_access.bucket, Key=key)
    assert head["ContentType"] == "application/vcon+json"


async def test_reads_replaces_and_deletes_what_the_reference_wrote(
    s3_server: servers.S3Server, s3_access: BucketAccess, opened: S3Storage, bucket: Bucket
) -> None:
    # By the day of its own time zone, not by that of UTC.
    vcon = stored(created_at=1_760_000_000.0)
    await bucket.put(f"2025/10/08/{vcon.uuid}.vcon", b'{"a": 1}', "binary/octet-stream")
    await bucket.put(f"lookup/{vcon.uuid}.txt", b"2025/10/08", "binary/octet-stream")
    assert await opened.get(vcon.uuid) == b'{"a": 1}'
    await opened.put([vcon])
    assert await opened.get(vcon.uuid) == vcon.document
    expected = [f"2025/10/09/{vcon.uuid}.vcon", f"lookup/{vcon.uuid}.txt"]
    assert await keys_in(s3_server, s3_access) == expected
    assert await opened.delete(vcon.uuid)
    assert await keys_in(s3_server, s3_access) == []


async def test_finds_what_the_reference_wrote_before_it_had_lookups(
    opened: S3Storage, bucket: Bucket
) -> None:
    vcon = stored(created_at=1_760_000_000.0)
    await bucket.put(f"2025/10/09/{vcon.uuid}.vcon", b"{}", "binary/octet-stream")
    await opened.put([vcon])
    assert await opened.get(vcon.uuid) == vcon.document


async def test_a_lookup_leads_nowhere_else(opened: S3Storage, bucket: Bucket) -> None:
    vcon = stored()
    await bucket.put(f"lookup/{vcon.uuid}.txt", b"../../private", "text/plain")
    for call in (opened.get(vcon.uuid), opened.delete(vcon.uuid)):
        with pytest.raises(Permanent, match="holds no date"):
            await call
    with pytest.raises(PartialFailure):
        await opened.put([vcon])
    with pytest.raises(Permanent, match="not a UUID"):
        await opened.get("../private")


@pytest.mark.parametrize("days", [[0, -1], [0, -1, 0], [0, 1, 2, 3], [None, 0, None]])
async def test_a_move_leaves_one_copy(
    s3_server: servers.S3Server,
    s3_access: BucketAccess,
    opened: S3Storage,
    days: list[float | None],
) -> None:
    uuid = new_uuid("contract")
    for rev, day in enumerate(days):
        created_at = 0.0 if day is None else 1_760_000_000.0 + day * DAY
        vcon = stored(uuid, rev=rev, members=f',"n":{rev}', created_at=created_at)
        await opened.put([vcon])
        assert await opened.get(uuid) == vcon.document
        assert len(await keys_in(s3_server, s3_access)) == 2
    assert await opened.delete(uuid)
    assert await keys_in(s3_server, s3_access) == []


# crashes


class Dying:
    """A bucket whose process is killed after so many writes; `left` counts down."""

    def __init__(self, bucket: Bucket, left: int) -> None:
        self._bucket = bucket
        self.left = left

    async def put(self, *args: Any, **others: Any) -> None:
        self._count()
        await self._bucket.put(*args, **others)

    async def delete(self, key: str) -> bool:
        self._count()
        return await self._bucket.delete(key)

    def _count(self) -> None:
        if not self.left:
            raise ConnectionAbortedError("killed")
        self.left -= 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)


OLD = stored(rev=1)
IN_PLACE = stored(OLD.uuid, rev=2, members=',"x":2')
MOVED = stored(OLD.uuid, rev=2, members=',"x":2', created_at=OLD.created_at - DAY)


@pytest.mark.parametrize("then", ["put", "delete"])
@pytest.mark.parametrize(
    ("new", "survives"),
    [*((IN_PLACE, n) for n in range(3)), *((MOVED, n) for n in range(6))],
    ids=[*(f"in place {n}" for n in range(3)), *(f"moved {n}" for n in range(6))],
)
async def test_a_crash_between_any_two_writes_is_harmless(
    s3_server: servers.S3Server,
    s3_access: BucketAccess,
    opened: S3Storage,
    bucket: Bucket,
    new: StoredVcon,
    survives: int,
    then: str,
) -> None:
    """Killed after `survives` writes: it can be read, put again, and deleted without a trace."""
    dying: Any = Dying(bucket, survives)
    killed = S3Storage(dying, options_for(s3_access))
    if survives >= 2:
        await killed.put([OLD])
    with pytest.raises(ConnectionAbortedError):
        await killed.put([new if survives >= 2 else OLD])
    assert dying.left == 0
    stored_before = {None} if survives < 2 else {OLD.document, new.document}
    assert await opened.get(OLD.uuid) in stored_before
    if then == "put":
        await opened.put([new])
        assert await opened.get(OLD.uuid) == new.document
        assert len(await keys_in(s3_server, s3_access)) == 2
    await opened.delete(OLD.uuid)
    assert await keys_in(s3_server, s3_access) == []
    assert await opened.get(OLD.uuid) is None


# revisions


class Interrupted:
    """A bucket in which somebody else writes `meanwhile`, just before our first write of a vCon."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self.meanwhile: Any = None

    async def put(self, key: str, *args: Any, **others: Any) -> None:
        if key.endswith(".vcon") and self.meanwhile:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile
        await self._bucket.put(key, *args, **others)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)


@pytest.mark.parametrize("before", [None, 1])
@pytest.mark.parametrize("moved", [0.0, DAY])
async def test_two_replicas_leave_the_newer_revision(
    tmp_path: Path, before: int | None, moved: float
) -> None:
    """A replica looked, another wrote a newer revision, and then the first one writes."""
    objects = MemoryObjects()
    resources = replace(resources_for(tmp_path), objects=objects)
    options = S3Options(aws_bucket="b")
    old = stored(rev=1)
    slow = stored(old.uuid, rev=2, members=',"x":2')
    fast = stored(old.uuid, rev=3, members=',"x":3', created_at=old.created_at + moved)
    async with S3Storage.open(options, resources) as storage:
        if before:
            await storage.put([old])
        interrupted = Interrupted(storage._bucket)
        interrupted.meanwhile = storage.put([fast])
        await S3Storage(interrupted, options).put([slow])  # type: ignore[arg-type]
        assert await storage.get(old.uuid) == fast.document
        await storage.delete(old.uuid)
        assert not objects.buckets["b"].objects


async def test_gives_up_on_a_vcon_that_others_keep_writing(tmp_path: Path) -> None:
    class Contended(Interrupted):
        async def put(self, *args: Any, **others: Any) -> None:
            raise Conflict("again")

    options = S3Options(aws_bucket="b")
    async with S3Storage.open(options, resources_for(tmp_path)) as storage:
        contended = S3Storage(Contended(storage._bucket), options)  # type: ignore[arg-type]
        with pytest.raises(Retryable, match="others keep writing"):
            await contended.put([stored()])


async def test_replicas_on_a_server_that_compares_nothing(
    s3_access: BucketAccess, tmp_path: Path
) -> None:
    """One after the other they still leave the newer revision, in whatever order they come."""
    vcons = [stored() for _ in range(10)]
    newer = [stored(vcon.uuid, rev=2, members=',"x":2') for vcon in vcons]
    async with open_s3(s3_access, tmp_path) as one, open_s3(s3_access, tmp_path) as two:
        await asyncio.gather(one.put(vcons[:5]), two.put(newer[5:]))
        await asyncio.gather(two.put(newer[:5]), one.put(vcons[5:]))
        for vcon in newer:
            assert await one.get(vcon.uuid) == vcon.document
            assert await two.delete(vcon.uuid)


# large ones


async def test_sends_large_vcons_in_parts(
    s3_server: servers.S3Server, s3_access: BucketAccess, opened: S3Storage, tmp_path: Path
) -> None:
    large = stored(members=',"x":"' + "0123456789abcdef" * (20 * MB // 16) + '"')
    newer = replace_document(large, rev=2, end=b" ")
    small = stored()
    await opened.put([small, large])
    assert await opened.get(large.uuid) == large.document
    await opened.put([newer])
    await opened.put([large])
    assert await opened.get(large.uuid) == newer.document
    async with s3_server.client() as client:
        for vcon, parts in ((large, "-3"), (small, "")):
            key = f"2025/10/09/{vcon.uuid}.vcon"
            head = await client.head_object(Bucket=s3_access.bucket, Key=key)
            assert head["ETag"].strip('"')[32:] == parts
    assert await opened.delete(large.uuid)
    assert await opened.get(large.uuid) is None


def replace_document(vcon: StoredVcon, *, rev: int, end: bytes) -> StoredVcon:
    return msgspec.structs.replace(vcon, rev=rev, document=vcon.document + end)


async def test_a_failed_upload_leaves_no_parts(
    s3_server: servers.S3Server, s3_access: BucketAccess, tmp_path: Path
) -> None:
    large = stored(members=',"x":"' + "0123456789abcdef" * (20 * MB // 16) + '"')
    async with tcp_proxy(urlsplit(s3_server.url).netloc) as proxy:
        access = s3_server.access(s3_access.bucket, port=proxy.port)
        async with open_s3(access, tmp_path, multipart_threshold=5 * MB) as storage:
            await storage.ping()

            async def cut() -> None:
                while proxy.passed(Direction.REQUESTS) < 2 * MB:
                    await asyncio.sleep(0.001)
                for _ in range(20):
                    proxy.cut()
                    await asyncio.sleep(0.005)

            cutting = asyncio.create_task(cut())
            with pytest.raises(Retryable):
                await storage.put([large])
            await cutting
            async with s3_server.client() as client:
                listed = await client.list_multipart_uploads(Bucket=s3_access.bucket)
            assert not listed.get("Uploads")
            assert await storage.get(large.uuid) is None
            await storage.put([large])
            assert await storage.get(large.uuid) == large.document


async def test_a_large_vcon_is_not_held_twice(opened: S3Storage) -> None:
    await opened.put([stored()])
    large = stored(members=',"x":"' + "0123456789abcdef" * (64 * MB // 16) + '"')
    tracemalloc.start()
    try:
        await opened.put([large])
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < len(large.document) / 2


# faults


async def test_names_the_one_that_is_refused(
    s3_server: servers.S3Server, s3_access: BucketAccess, tmp_path: Path
) -> None:
    """One whose lookup cannot be trusted fails, the others are stored."""
    vcons, bad = [stored() for _ in range(5)], stored()
    async with S3Objects().bucket(s3_access) as bucket:
        await bucket.put(f"lookup/{bad.uuid}.txt", b"nonsense", "text/plain")
    async with open_s3(s3_access, tmp_path) as storage:
        with pytest.raises(PartialFailure) as caught:
            await storage.put([*vcons, bad, msgspec.structs.replace(bad, uuid="no uuid")])
        assert set(caught.value.failures) == {bad.uuid, "no uuid"}
        assert all(isinstance(it, Permanent) for it in caught.value.failures.values())
        for vcon in vcons:
            assert await storage.get(vcon.uuid) == vcon.document


async def test_a_refused_key_is_said_and_not_shown(s3_access: BucketAccess, tmp_path: Path) -> None:
    wrong = msgspec.structs.replace(s3_access, secret_access_key=Secret("topsecret"))
    async with open_s3(wrong, tmp_path) as storage:
        with pytest.raises(Retryable, match="the secret access key is wrong") as caught:
            await storage.ping()
        with pytest.raises(Retryable) as refused:
            await storage.put([stored()])
    assert "topsecret" not in repr((caught.value, refused.value))


async def test_an_outage_opens_the_breaker_and_passes(tmp_path: Path) -> None:
    vcons = [stored() for _ in range(8)]
    (tmp_path / "s3").mkdir()
    async with servers.s3(tmp_path / "s3") as server:
        access = await server.make_bucket("vcons")
        async with open_s3(access, tmp_path) as storage:
            fanout = Fanout({"s3": StorageUnit("s3", storage)})
            assert await fanout.store(vcons[0], ["s3"]) == {}
            await server.stop()
            for call in (storage.ping(), storage.put(vcons), storage.get(vcons[0].uuid)):
                with pytest.raises(Retryable):
                    await call
            for vcon in vcons:
                failed = await fanout.store(vcon, ["s3"])
                assert isinstance(failed["s3"], Retryable)
            assert "paused" in str(type(failed["s3"])).lower()
            await server.start()
            await storage.put(vcons)
            server.pause()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await storage.put(vcons)
            server.resume()
            for vcon in vcons:
                assert await storage.get(vcon.uuid) == vcon.document
            await fanout.stop()


@pytest.mark.parametrize("passed", [100, 900, 2_500, 6_000])
async def test_what_a_cut_connection_left_is_put_again(
    s3_server: servers.S3Server, s3_access: BucketAccess, tmp_path: Path, passed: int
) -> None:
    vcons = [stored() for _ in range(6)]
    async with tcp_proxy(urlsplit(s3_server.url).netloc) as proxy:
        access = s3_server.access(s3_access.bucket, port=proxy.port)
        async with open_s3(access, tmp_path) as storage:
            proxy.cut_after(passed, Direction.REPLIES)
            for _ in range(5):
                try:
                    await storage.put(vcons)
                except (Retryable, PartialFailure):
                    continue
                break
            for vcon in vcons:
                assert await storage.get(vcon.uuid) == vcon.document
                assert await storage.delete(vcon.uuid)
    assert await keys_in(s3_server, s3_access) == []


# options


def test_what_is_blank_counts_as_not_given() -> None:
    keys = {"aws_access_key_id": Secret(""), "aws_secret_access_key": Secret(" ")}
    options = S3Options(aws_bucket="b", aws_region="", endpoint_url="", **keys)
    assert options.access("b") == BucketAccess("b")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, "aws_bucket"),
        ({"aws_bucket": ""}, "aws_bucket"),
        ({"aws_bucket": "b", "aws_access_key_id": "k"}, "belong together"),
        ({"aws_bucket": "b", "endpoint_url": "minio:9000"}, "endpoint_url must begin"),
        ({"aws_bucket": "b", "multipart_threshold": 1}, "multipart_threshold"),
        ({"aws_bucket": "b", "concurrency": 0}, "concurrency"),
        ({"aws_bucket": "b", "bucket": "c"}, "bucket"),
    ],
)
def test_refuses_bad_options(raw: dict[str, Any], message: str) -> None:
    def secret(kind: type, value: Any) -> Any:
        return Secret(value) if kind is Secret else value

    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(raw, S3Options, strict=False, dec_hook=secret)
