"""Recordings as files: decoded or fetched, checked, limited, and cleared away."""

import asyncio
import base64
import hashlib
import os
import time
import tracemalloc
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from vconflow.adapters.fetch import open_fetcher
from vconflow.errors import Permanent, Retryable
from vconflow.links.recordings.dialogs import RecordedDialog, recorded_dialogs
from vconflow.links.recordings.files import Limits, RecordingFiles
from vconflow.links.recordings.spool import to_the_end
from vconflow.model.identifiers import new_uuid
from vconflow.model.media_types import extension_of
from vconflow.model.vcon import Vcon
from vconflow.ports.fetcher import Fetcher
from vconflow.ports.transcriber import Recording
from vconflow.testing.contracts import CannedFetcher, resources_for
from vconflow.testing.raw_http_server import RawHttpServer, body_of, raw_http_server

CONTENT = bytes(range(256)) * 64
LIMITS = Limits(max_bytes=1_000_000, media_types=("audio/*", "video/*"), fetch_timeout=20)


@pytest.fixture
async def server() -> AsyncIterator[RawHttpServer]:
    async with raw_http_server() as server:
        server.answers = {"/a.wav": body_of(CONTENT, "audio/x-wav")}
        yield server


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with open_fetcher(["127.0.0.1"]) as fetcher:
        yield fetcher


@pytest.fixture
def files(tmp_path: Path, fetcher: Fetcher) -> RecordingFiles:
    return files_with(tmp_path, fetcher)


@pytest.fixture
def inline(tmp_path: Path) -> RecordingFiles:
    """Without a fetcher, whose certificates take their time."""
    return files_with(tmp_path, CannedFetcher())


def files_with(folder: Path, fetcher: Fetcher, **limits: Any) -> RecordingFiles:
    resources = replace(resources_for(folder), fetcher=fetcher)
    return RecordingFiles(resources, msgspec.structs.replace(LIMITS, **limits))


def dialog_of(**members: Any) -> RecordedDialog:
    (dialog,) = recorded_dialogs(vcon_of({"type": "recording", **members}))
    return dialog


def vcon_of(*dialogs: dict[str, Any], version: str = "0.4.0") -> Vcon:
    document = {"vcon": version, "uuid": new_uuid("t"), "created_at": "2024-03-14T09:26:53Z"}
    return Vcon(msgspec.json.encode({**document, "parties": [], "dialog": dialogs}))


def left_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@asynccontextmanager
async def opened(files: RecordingFiles, dialog: RecordedDialog) -> AsyncIterator[Recording]:
    async with files.open(dialog) as recording:
        assert recording.file is not None
        assert recording.file.stat().st_mode & 0o777 == 0o600
        yield recording


async def content_of(files: RecordingFiles, **members: Any) -> bytes:
    async with opened(files, dialog_of(**members)) as recording:
        assert recording.file is not None
        return recording.file.read_bytes()


async def failure_of(files: RecordingFiles, **members: Any) -> Exception:
    with pytest.raises((Permanent, Retryable)) as caught:
        await content_of(files, **members)
    return caught.value


def b64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def sha512(content: bytes) -> str:
    return f"sha512-{b64url(hashlib.sha512(content).digest())}"


# inline


@pytest.mark.parametrize("size", [1, 2, 3, 4, 200_000, 262_143, 262_144, 262_145, 600_001])
@pytest.mark.parametrize("form", ["base64url", "padded", "base64", "wrapped", "unnamed"])
async def test_inline_bodies_in_every_form(
    inline: RecordingFiles, tmp_path: Path, size: int, form: str
) -> None:
    content = (CONTENT * 40)[:size]
    body = {
        "base64url": b64url(content),
        "padded": base64.urlsafe_b64encode(content).decode(),
        "base64": base64.b64encode(content).decode(),
        "wrapped": base64.encodebytes(content).decode(),
        "unnamed": base64.b64encode(content).decode(),
    }[form]
    encoding = {"padded": "base64url", "wrapped": "base64"}.get(form, form)
    named = {} if form == "unnamed" else {"encoding": encoding}
    assert await content_of(inline, body=body, mediatype="audio/wav", **named) == content
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"body": "abc!", "encoding": "base64url"}, "no base64url"),
        ({"body": "abcde", "encoding": "base64url"}, "no base64url"),
        ({"body": "ü" * 8, "encoding": "base64"}, "no base64url"),
        ({"body": "hello", "encoding": "none"}, "has to be base64url"),
        ({"body": "{}", "encoding": "json"}, "has to be base64url"),
        ({"body": " ", "encoding": "base64url"}, "empty"),
        ({"body": "AAAA", "mediatype": "text/plain"}, "text/plain is not among media_types"),
        ({"body": "AAAA", "mimetype": "Image/PNG; x=y"}, "image/png is not among media_types"),
    ],
)
async def test_inline_bodies_that_are_refused(
    inline: RecordingFiles, tmp_path: Path, members: dict[str, Any], message: str
) -> None:
    failure = await failure_of(inline, **members)
    assert isinstance(failure, Permanent)
    assert message in str(failure)
    assert left_in(tmp_path) == []


async def test_an_inline_body_past_the_limit(tmp_path: Path) -> None:
    files = files_with(tmp_path, CannedFetcher(), max_bytes=999)
    assert len(await content_of(files, body=b64url(CONTENT[:999]))) == 999
    failure = await failure_of(files, body=b64url(CONTENT[:1000]))
    assert isinstance(failure, Permanent)
    assert "more than 999 bytes" in str(failure)
    assert left_in(tmp_path) == []


async def test_the_length_of_a_wav_is_read_from_it(inline: RecordingFiles, tmp_path: Path) -> None:
    file = tmp_path / "made.wav"
    with wave.open(str(file), "wb") as made:
        made.setparams((2, 2, 8000, 0, "NONE", ""))
        made.writeframes(b"\0" * 4 * 12_000)
    body = b64url(file.read_bytes())
    async with opened(inline, dialog_of(body=body)) as recording:
        assert recording.duration == 1.5
    # The length that was left open while it was recorded says nothing, the file does.
    streamed = bytearray(file.read_bytes())
    streamed[40:44] = (0x7FFFFFF0).to_bytes(4, "little")
    async with opened(inline, dialog_of(body=b64url(bytes(streamed)))) as recording:
        assert recording.duration == pytest.approx(1.5, abs=0.01)
    async with opened(inline, dialog_of(body=body, duration=7)) as recording:
        assert recording.duration == 7
    async with opened(inline, dialog_of(body="AAAA")) as recording:
        assert recording.duration is None


async def test_a_wav_with_impossible_sizes_is_of_unknown_length(
    inline: RecordingFiles, tmp_path: Path
) -> None:
    file = tmp_path / "made.wav"
    with wave.open(str(file), "wb") as made:
        made.setparams((1, 2, 8000, 0, "NONE", ""))
        made.writeframes(b"\0" * 800)
    content = bytearray(file.read_bytes())
    # A first chunk that says it is longer than all of them together.
    content[16:20] = (1 << 20).to_bytes(4, "little")
    async with opened(inline, dialog_of(body=b64url(bytes(content)))) as recording:
        assert (recording.duration, recording.media_type) == (None, "audio/wav")


@pytest.mark.parametrize(
    ("begins", "expected"),
    [
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"ID3\x04", "audio/mpeg"),
        (b"\xff\xfb\x90\x00", "audio/mpeg"),
        (b"\x00\x00\x00 ftypM4A ", "audio/mp4"),
        (b"OggS\x00", "audio/ogg"),
        (b"fLaC\x00", "audio/flac"),
        (b"\x1aE\xdf\xa3", "audio/webm"),
        (b"nothing of these", "application/octet-stream"),
    ],
)
async def test_the_media_type_that_nobody_says(
    inline: RecordingFiles, begins: bytes, expected: str
) -> None:
    async with opened(inline, dialog_of(body=b64url(begins))) as recording:
        assert recording.media_type == expected
        assert recording.filename == f"recording{extension_of(expected)}"
    said = dialog_of(body=b64url(begins), mediatype="audio/amr")
    async with opened(inline, said) as recording:
        assert recording.media_type == "audio/amr"


# by url


async def test_a_url_is_fetched(
    files: RecordingFiles, server: RawHttpServer, tmp_path: Path
) -> None:
    async with opened(files, dialog_of(url=server.url("/a.wav"))) as recording:
        assert recording.file is not None
        assert recording.file.read_bytes() == CONTENT
        assert (recording.media_type, recording.filename) == ("audio/x-wav", "a.wav")
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("said", "dialog", "expected"),
    [
        ("audio/mpeg", "audio/x-wav", "audio/mpeg"),
        ("application/octet-stream", "audio/x-wav", "audio/x-wav"),
        ("binary/octet-stream", "", "application/octet-stream"),
        ("", "video/mp4", "video/mp4"),
        ("text/html; charset=utf-8", "audio/x-wav", None),
        ("audio/x-wav", "text/html", None),
    ],
)
async def test_the_media_type_is_that_of_server_and_dialog(
    files: RecordingFiles, server: RawHttpServer, said: str, dialog: str, expected: str | None
) -> None:
    server.answers["/"] = body_of(CONTENT, said)
    named = {"mediatype": dialog} if dialog else {}
    if expected is None:
        failure = await failure_of(files, url=server.url(), **named)
        assert isinstance(failure, Permanent)
        assert "text/html is not among media_types" in str(failure)
    else:
        async with opened(files, dialog_of(url=server.url(), **named)) as recording:
            assert recording.media_type == expected


@pytest.mark.parametrize(
    "hashes",
    [
        {"content_hash": sha512(CONTENT)},
        {"content_hash": f"SHA-512-{base64.b64encode(hashlib.sha512(CONTENT).digest()).decode()}"},
        {"content_hash": ["sha256-" + b64url(hashlib.sha256(CONTENT).digest()), sha512(CONTENT)]},
        {"content_hash": ["blake3-abc", sha512(CONTENT)]},
        {"alg": "SHA-512", "signature": sha512(CONTENT)[7:] + "=="},
        {"alg": "SHA-512", "signature": hashlib.sha512(CONTENT).hexdigest()},
        {"alg": "SHA-256", "signature": b64url(hashlib.sha256(CONTENT).digest())},
    ],
)
async def test_a_hash_that_is_right(
    files: RecordingFiles, server: RawHttpServer, hashes: dict[str, Any]
) -> None:
    assert await content_of(files, url=server.url("/a.wav"), **hashes) == CONTENT


@pytest.mark.parametrize(
    ("hashes", "message"),
    [
        ({"content_hash": sha512(b"other")}, "another sha512"),
        ({"content_hash": [sha512(CONTENT), sha512(b"other")]}, "another sha512"),
        ({"content_hash": [sha512(CONTENT), "sha256-AAAA"]}, "another sha256"),
        ({"content_hash": "sha512-"}, "another sha512"),
        ({"content_hash": "md5-abcd"}, "none of its algorithms"),
        ({"alg": "SHA-512", "signature": "AAAA"}, "another sha512"),
        ({"alg": "LMOTS_SHA256_N32_W8", "signature": "AAAA"}, "none of its algorithms"),
    ],
)
async def test_a_hash_that_is_wrong(
    files: RecordingFiles,
    server: RawHttpServer,
    tmp_path: Path,
    hashes: dict[str, Any],
    message: str,
) -> None:
    failure = await failure_of(files, url=server.url("/a.wav"), **hashes)
    assert isinstance(failure, Permanent)
    assert message in str(failure)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("announced", [True, False])
async def test_a_url_past_the_limit(
    tmp_path: Path, fetcher: Fetcher, server: RawHttpServer, announced: bool
) -> None:
    if not announced:
        server.answers["/a.wav"] = b"HTTP/1.1 200 OK\r\n\r\n" + CONTENT
    assert len(await content_of(files_with(tmp_path, fetcher), url=server.url("/a.wav"))) == 16384
    files = files_with(tmp_path, fetcher, max_bytes=16383)
    failure = await failure_of(files, url=server.url("/a.wav"))
    assert isinstance(failure, Permanent)
    assert "more than 16383 bytes" in str(failure)
    assert left_in(tmp_path) == []


async def test_faults_of_the_server(
    files: RecordingFiles, server: RawHttpServer, tmp_path: Path
) -> None:
    server.answers |= {
        "/cut": body_of(CONTENT, "audio/wav", announced=20_000),
        "/gone": b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n",
        "/busy": b"HTTP/1.1 503 X\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n",
        "/empty": body_of(b"", "audio/wav"),
    }
    assert isinstance(await failure_of(files, url=server.url("/cut")), Retryable)
    assert isinstance(await failure_of(files, url=server.url("/gone")), Permanent)
    busy = await failure_of(files, url=server.url("/busy"))
    assert isinstance(busy, Retryable)
    assert busy.retry_after == 60  # nobody waits for strangers for longer
    assert isinstance(await failure_of(files, url=server.url("/empty")), Permanent)
    private = await failure_of(files, url=server.url(host="127.0.0.2"))
    assert isinstance(private, Permanent)
    assert "private" in str(private)
    assert left_in(tmp_path) == []


async def test_a_server_that_falls_silent(
    tmp_path: Path, fetcher: Fetcher, server: RawHttpServer
) -> None:
    server.answers["/hangs"] = body_of(CONTENT, "audio/wav", announced=20_000)
    files = files_with(tmp_path, fetcher, fetch_timeout=0.2)
    assert isinstance(await failure_of(files, url=server.url("/hangs")), Retryable)
    assert left_in(tmp_path) == []


async def test_whoever_is_cancelled_leaves_nothing(
    files: RecordingFiles, server: RawHttpServer, tmp_path: Path
) -> None:
    server.answers["/hangs"] = body_of(CONTENT, "audio/wav", announced=20_000)
    for path, folder in (("/hangs", tmp_path), ("/a.wav", tmp_path)):
        task = asyncio.create_task(hold(files, dialog_of(url=server.url(path))))
        while not left_in(folder) or path not in server.asked:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert left_in(folder) == []


async def hold(files: RecordingFiles, dialog: RecordedDialog) -> None:
    async with files.open(dialog):
        await asyncio.Event().wait()


async def test_a_large_recording_costs_no_memory(
    tmp_path: Path, fetcher: Fetcher, server: RawHttpServer
) -> None:
    piece, count = b"\x01" * 1_000_000, 200
    digest = hashlib.sha512()
    for _ in range(count):
        digest.update(piece)

    def answer() -> Iterator[bytes]:
        yield body_of(b"", "audio/wav", announced=len(piece) * count)
        for _ in range(count):
            yield piece

    server.answers["/large"] = answer()
    files = files_with(tmp_path, fetcher, max_bytes=len(piece) * count)
    dialog = dialog_of(url=server.url("/large"), content_hash=f"sha512-{b64url(digest.digest())}")
    tracemalloc.start()
    try:
        async with files.open(dialog) as recording:
            assert recording.file is not None
            assert recording.file.stat().st_size == 200_000_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000
    assert left_in(tmp_path) == []


async def test_what_a_killed_process_left_goes_after_a_day(
    inline: RecordingFiles, tmp_path: Path
) -> None:
    await inline.clear()  # where there is no folder yet
    async with inline.open(dialog_of(body="AAAA")) as recording:
        assert recording.file is not None
        old, other = recording.file.with_name("recording-old.wav"), recording.file.with_name("own")
        for path in (old, other):
            path.write_bytes(b"x")
            os.utime(path, (0, time.time() - 90_000))
        await inline.clear()
        assert left_in(tmp_path) == sorted([recording.file, other])


async def test_work_in_a_thread_ends_before_its_cancellation(tmp_path: Path) -> None:
    file = tmp_path / "made"

    def make() -> None:
        time.sleep(0.1)
        file.write_text("x")

    task = asyncio.create_task(to_the_end(make))
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert file.exists()


# what dialogs say


def test_which_dialogs_are_recordings() -> None:
    vcon = vcon_of(
        {"type": "text", "body": "hi", "encoding": "none"},
        {"type": "recording", "body": "", "url": "https://e.org/x/y%20z.mp3?sig=1"},
        {"type": "recording", "content_hash": "sha512-AAAA"},
        {"type": "recording", "body": "AAAA", "mimetype": "audio/x-wav"},
        {"type": "recording", "body": "https://e.org/moved", "body_type": "url"},
        {"type": "recording", "body": "AAAA", "filename": "../../etc/x.ogg"},
        {
            "type": "recording",
            "body": "AAAA",
            "filename": "x." + "y" * 300,
            "mediatype": "audio/aac",
        },
    )
    found = list(recorded_dialogs(vcon))
    assert [(item.index, item.body, item.url, item.filename) for item in found] == [
        (1, None, "https://e.org/x/y%20z.mp3?sig=1", "y z.mp3"),
        (3, "AAAA", None, "recording.wav"),
        (4, None, "https://e.org/moved", "recording"),
        (5, "AAAA", None, "x.ogg"),
        (6, "AAAA", None, "recording.aac"),
    ]


async def test_a_provider_may_fetch_what_nobody_must_check(
    files: RecordingFiles, server: RawHttpServer
) -> None:
    url = server.url("/a.wav")
    recording = await files.by_url(dialog_of(url=url, mediatype="audio/x-wav", duration=5))
    assert recording == Recording("audio/x-wav", None, url, "a.wav", 5.0)
    assert await files.by_url(dialog_of(url=url, content_hash=sha512(CONTENT))) is None
    assert await files.by_url(dialog_of(body="AAAA", url=url)) is None
    with pytest.raises(Permanent, match="private"):
        await files.by_url(dialog_of(url=server.url(host="127.0.0.2")))
    with pytest.raises(Permanent, match="media_types"):
        await files.by_url(dialog_of(url=url, mediatype="text/html"))
    assert server.connections == 0
