"""Buckets: the real adapter on a real S3, and the one in memory alike."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from botocore.credentials import RefreshableCredentials

from vconflow.adapters.objects import S3Objects
from vconflow.errors import Conflict, Permanent, Retryable, Throttled, VconflowError
from vconflow.ports.component import Secret
from vconflow.ports.objects import NOTHING, Bucket, BucketAccess
from vconflow.testing import servers
from vconflow.testing.memory_objects import MemoryObjects
from vconflow.testing.tcp_proxy import Direction, TcpProxy, tcp_proxy

LARGE = os.urandom(1024) * 1024 * 20
MB = 1024 * 1024


@pytest.fixture(params=["s3", "memory"])
async def bucket(request: pytest.FixtureRequest, s3_access: BucketAccess) -> AsyncIterator[Bucket]:
    """An empty bucket of either kind."""
    objects = S3Objects() if request.param == "s3" else MemoryObjects()
    async with objects.bucket(s3_access) as opened:
        yield opened


@pytest.fixture
async def s3_bucket(s3_access: BucketAccess) -> AsyncIterator[Bucket]:
    async with S3Objects().bucket(s3_access) as opened:
        yield opened


async def test_keeps_bytes_and_what_is_said_of_them(bucket: Bucket) -> None:
    assert await bucket.get("a/ü 1.vcon") is None
    assert await bucket.read("a/ü 1.vcon") is None
    assert await bucket.state("a/ü 1.vcon") is None
    await bucket.put("a/ü 1.vcon", b"\0bytes", "application/vcon", metadata={"rev": "7"})
    assert await bucket.get("a/ü 1.vcon") == b"\0bytes"
    found, state = await bucket.read("a/ü 1.vcon"), await bucket.state("a/ü 1.vcon")
    assert found is not None
    assert state is not None
    assert (found.content, dict(found.metadata)) == (b"\0bytes", {"rev": "7"})
    assert (state.etag, state.metadata) == (found.etag, found.metadata)
    await bucket.ping()


async def test_replaces_and_deletes(bucket: Bucket) -> None:
    await bucket.put("k", b"1", "text/plain")
    first = await bucket.state("k")
    await bucket.put("k", b"2", "text/plain")
    second = await bucket.state("k")
    assert first is not None
    assert second is not None
    assert first.etag != second.etag
    assert await bucket.get("k") == b"2"
    assert await bucket.delete("k") is True
    assert await bucket.delete("k") is False
    assert await bucket.get("k") is None


async def test_replaces_nothing_when_nothing_is_expected(bucket: Bucket) -> None:
    await bucket.put("k", b"1", "text/plain", replacing=NOTHING)
    with pytest.raises(Conflict):
        await bucket.put("k", b"2", "text/plain", replacing=NOTHING)
    with pytest.raises(Conflict):
        await bucket.put("k", LARGE, "text/plain", replacing=NOTHING)
    assert await bucket.get("k") == b"1"
    state = await bucket.state("k")
    assert state is not None
    await bucket.put("k", b"3", "text/plain", replacing=state.etag)
    assert await bucket.get("k") == b"3"


async def test_takes_files_and_large_objects(bucket: Bucket, tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"small")
    large.write_bytes(LARGE)
    await bucket.put("small", small, "audio/wav")
    await bucket.put("large", large, "audio/wav", metadata={"rev": "1"})
    await bucket.put("bytes", LARGE, "audio/wav")
    await bucket.put("middle", LARGE[: 2 * MB], "audio/wav")
    await bucket.put("empty", b"", "audio/wav")
    assert await bucket.get("small") == b"small"
    assert await bucket.get("large") == LARGE
    assert await bucket.get("bytes") == LARGE
    assert await bucket.get("middle") == LARGE[: 2 * MB]
    assert await bucket.get("empty") == b""
    found = await bucket.read("large")
    assert found is not None
    assert dict(found.metadata) == {"rev": "1"}


async def test_a_presigned_url_is_for_anybody_and_for_a_time(s3_bucket: Bucket) -> None:
    await s3_bucket.put("a/call 1.wav", b"RIFF", "audio/wav")
    await s3_bucket.put("a/call 2.wav", b"other", "audio/wav")
    url = await s3_bucket.presigned_get("a/call 1.wav", 60)
    short = await s3_bucket.presigned_get("a/call 1.wav", 1)
    async with httpx.AsyncClient() as client:
        answer = await client.get(url)
        assert (answer.status_code, answer.content) == (200, b"RIFF")
        assert answer.headers["content-type"] == "audio/wav"
        for tampered in (
            url.replace("call%201", "call%202"),
            url.replace("Expires=60", "Expires=6000"),
            url[:-1] + ("0" if url[-1] != "0" else "1"),
        ):
            assert tampered != url
            assert (await client.get(tampered)).status_code == 403
        assert (await client.put(url, content=b"mine")).status_code == 403
        assert (await client.get(url.partition("?")[0])).is_client_error
        while (answer := await client.get(short)).status_code == 200:
            await asyncio.sleep(0.2)
        assert answer.status_code == 403
        assert b"expired" in answer.content
    assert await s3_bucket.get("a/call 1.wav") == b"RIFF"


@pytest.mark.parametrize("seconds", [0, -1, 604_801])
async def test_refuses_a_url_that_could_never_be_fetched(s3_bucket: Bucket, seconds: int) -> None:
    with pytest.raises(Permanent, match=str(seconds)):
        await s3_bucket.presigned_get("k", seconds)


async def _errors_of(access: BucketAccess) -> list[VconflowError]:
    """What every call of a bucket raises."""
    errors = []
    async with S3Objects().bucket(access) as opened:
        for call in (
            opened.ping(),
            opened.put("k", b"", "text/plain"),
            opened.put("k", LARGE, "text/plain"),
            opened.get("k"),
            opened.delete("k"),
        ):
            with pytest.raises(VconflowError) as caught:
                await call
            errors.append(caught.value)
    return errors


async def test_wrong_keys_are_said_and_not_shown(s3_access: BucketAccess) -> None:
    wrong = msgspec.structs.replace(s3_access, secret_access_key=Secret("topsecret"))
    for error in await _errors_of(wrong):
        assert isinstance(error, Retryable)
        assert "topsecret" not in repr(error)
        assert error.__cause__ is None
        assert s3_access.bucket in str(error)
    async with S3Objects().bucket(wrong) as opened:
        with pytest.raises(Retryable, match="the secret access key is wrong"):
            await opened.ping()


async def test_a_stranger_is_denied(s3_server: servers.S3Server, s3_access: BucketAccess) -> None:
    stranger = s3_server.access(s3_access.bucket, key="test:stranger")
    for error in await _errors_of(stranger):
        assert isinstance(error, Retryable)
        assert "may not" in str(error)


async def test_a_missing_bucket_is_named(s3_server: servers.S3Server) -> None:
    for error in await _errors_of(s3_server.access("no-such-bucket")):
        assert isinstance(error, Retryable)
        assert "'no-such-bucket'" in str(error)
        assert "no such bucket" in str(error)


async def test_an_outage_passes(s3_access: BucketAccess) -> None:
    nobody = msgspec.structs.replace(
        s3_access, endpoint_url=f"http://127.0.0.1:{servers.free_port()}"
    )
    for error in await _errors_of(nobody):
        assert isinstance(error, Retryable)
        assert "connect" in str(error)


async def test_a_malformed_endpoint_is_permanent(s3_access: BucketAccess) -> None:
    odd = msgspec.structs.replace(s3_access, endpoint_url="no url at all")
    async with S3Objects().bucket(odd) as opened:
        with pytest.raises(Permanent, match="endpoint"):
            await opened.ping()


async def _cut_again_and_again(proxy: TcpProxy) -> None:
    while True:
        proxy.cut()
        await asyncio.sleep(0.02)


async def test_survives_cut_connections(
    s3_server: servers.S3Server, s3_access: BucketAccess
) -> None:
    async with tcp_proxy(urlsplit(s3_server.url).netloc) as proxy:
        access = s3_server.access(s3_access.bucket, port=proxy.port)
        async with S3Objects().bucket(access) as opened:
            await opened.put("k", b"1", "text/plain")
            proxy.cut()
            await opened.put("k", b"2", "text/plain")
            cutting = asyncio.create_task(_cut_again_and_again(proxy))
            with pytest.raises(Retryable):
                await opened.put("k", LARGE, "text/plain")
            cutting.cancel()
            # Once, it is sent again by itself.
            proxy.cut_after(3 * MB, Direction.REQUESTS)
            await opened.put("large", LARGE, "text/plain")
            proxy.cut_after(3 * MB, Direction.REPLIES)
            with pytest.raises(Retryable, match="broke"):
                await opened.get("large")
            proxy.refuse()
            with pytest.raises(Retryable):
                await opened.ping()
            proxy.restore()
            assert await opened.get("k") == b"2"
            assert await opened.get("large") == LARGE


@dataclass
class Refusing:
    """A server that answers every request alike; `requests` are their first lines."""

    answer: bytes
    requests: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head.partition(b"\r\n")[0].decode())
        head, end, body = self.answer.partition(b"\r\n\r\n")
        writer.write(head + end + (b"" if self.requests[-1].startswith("HEAD") else body))
        await writer.drain()
        writer.close()


def _answer(status: str, code: str, header: str = "") -> bytes:
    body = f"<Error><Code>{code}</Code><Message>secret words</Message></Error>"
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{header}\r\n"
    return (head + body).encode()


@asynccontextmanager
async def _refusing(access: BucketAccess, answer: bytes) -> AsyncIterator[tuple[Bucket, Refusing]]:
    refusing = Refusing(answer)
    server = await asyncio.start_server(refusing.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with (
        server,
        S3Objects().bucket(msgspec.structs.replace(access, endpoint_url=url)) as opened,
    ):
        yield opened, refusing


@pytest.mark.parametrize(
    ("status", "code", "header", "kind", "wait"),
    [
        ("503 Slow Down", "SlowDown", "Retry-After: 7\r\n", Throttled, 7.0),
        ("503 Slow Down", "SlowDown", "", Throttled, None),
        ("429 Too Many", "Own.Code", "Retry-After: 3\r\n", Throttled, 3.0),
        ("500 Oops", "InternalError", "", Retryable, None),
        ("502 Bad Gateway", "", "", Retryable, None),
        ("400 Bad", "RequestTimeout", "", Retryable, None),
        ("403 No", "RequestTimeTooSkewed", "", Retryable, None),
        ("400 Bad", "ExpiredToken", "", Retryable, None),
        ("403 No", "InvalidAccessKeyId", "", Retryable, None),
        ("400 Bad", "InvalidRequest", "", Permanent, None),
    ],
)
async def test_what_an_answer_means(
    s3_access: BucketAccess, status: str, code: str, header: str, kind: type, wait: float | None
) -> None:
    async with _refusing(s3_access, _answer(status, code, header)) as (opened, refusing):
        with pytest.raises(kind) as caught:
            await opened.get("a-secret-key")
    assert type(caught.value) is kind
    assert getattr(caught.value, "retry_after", None) == wait
    assert "secret" not in str(caught.value)
    # Whoever asks repeats it, not the driver.
    assert refusing.requests == [f"GET /{s3_access.bucket}/a-secret-key HTTP/1.1"]


async def test_to_delete_what_is_not_there_is_no_error(s3_access: BucketAccess) -> None:
    """Some servers answer so, where Amazon and Swift say that it is gone."""
    async with _refusing(s3_access, _answer("404 No", "NoSuchKey")) as (opened, refusing):
        assert await opened.delete("k") is False
    assert [line.split()[0] for line in refusing.requests] == ["HEAD", "DELETE"]


async def test_keys_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, s3_access: BucketAccess, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    bare = msgspec.structs.replace(s3_access, access_key_id=None, secret_access_key=None)
    async with S3Objects().bucket(bare) as opened:
        with pytest.raises(Retryable, match="no keys"):
            await opened.ping()
        # They may come later: those of a machine are handed out by a service of its own.
        assert s3_access.access_key_id is not None
        assert s3_access.secret_access_key is not None
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_access.access_key_id.reveal())
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_access.secret_access_key.reveal())
        await opened.ping()


@dataclass
class Machine:
    """The service of a machine at Amazon that hands out the keys of its role, for a short time."""

    access: BucketAccess
    handed_out: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split()[1]
        if path.endswith("/token"):
            body = "a-token"
        elif path.endswith("/security-credentials/"):
            body = "the-role"
        else:
            assert path.endswith("/the-role")
            body = json.dumps(self._keys())
        ttl = "x-aws-ec2-metadata-token-ttl-seconds: 60\r\nConnection: close\r\n"
        length = f"Content-Length: {len(body)}\r\n"
        writer.write(f"HTTP/1.1 200 OK\r\n{ttl}{length}\r\n{body}".encode())
        await writer.drain()
        writer.close()

    def _keys(self) -> dict[str, str]:
        assert self.access.access_key_id is not None
        assert self.access.secret_access_key is not None
        self.handed_out += 1
        return {
            "Code": "Success",
            "AccessKeyId": self.access.access_key_id.reveal(),
            "SecretAccessKey": self.access.secret_access_key.reveal(),
            "Token": "session",
            "Expiration": f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
        }


async def test_keys_of_the_role_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, s3_access: BucketAccess, tmp_path: Path
) -> None:
    machine = Machine(s3_access)
    server = await asyncio.start_server(machine.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    # The driver asks for new ones so many seconds before the end: with each request, that is.
    monkeypatch.setattr(RefreshableCredentials, "_advisory_refresh_timeout", 7200)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{port}/")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    bare = msgspec.structs.replace(s3_access, access_key_id=None, secret_access_key=None)
    async with server, S3Objects().bucket(bare) as opened:
        await opened.ping()
        first = machine.handed_out
        assert first
        await asyncio.gather(*(opened.put(f"k{n}", b"1", "text/plain") for n in range(4)))
        assert machine.handed_out > first
        assert await opened.get("k3") == b"1"


async def test_one_client_for_an_account(
    s3_server: servers.S3Server, s3_access: BucketAccess
) -> None:
    objects = S3Objects()
    other = await s3_server.make_bucket(f"{s3_access.bucket}-2")
    stranger = s3_server.access(other.bucket, key="test:stranger")
    async with tcp_proxy(urlsplit(s3_server.url).netloc) as proxy:
        there = f"http://127.0.0.1:{proxy.port}"
        one, two, three = (
            msgspec.structs.replace(access, endpoint_url=there)
            for access in (s3_access, other, stranger)
        )
        async with objects.bucket(one) as first:
            async with objects.bucket(two) as second, objects.bucket(three):
                assert objects.accounts == 2
                await first.put("k", b"1", "text/plain")
                await second.put("k", b"2", "text/plain")
                assert proxy.connections == 1
            assert objects.accounts == 1
            assert await first.get("k") == b"1"
        assert objects.accounts == 0
        async with asyncio.timeout(10):
            while proxy.open_connections:
                await asyncio.sleep(0.01)


async def test_an_impatient_caller_does_not_stop_the_opening(s3_bucket: Bucket) -> None:
    calls = [asyncio.create_task(s3_bucket.ping()) for _ in range(3)]
    await asyncio.sleep(0)
    calls[0].cancel()
    await asyncio.gather(*calls[1:])
    with pytest.raises(asyncio.CancelledError):
        await calls[0]
