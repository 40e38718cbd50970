"""Fetching by strangers' URLs: from a real server, and never from where it must not be."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from vconflow.adapters.addresses import Allowed, RefusedAddress
from vconflow.adapters.fetch import open_fetcher
from vconflow.errors import ConfigError, Permanent, Retryable, SourceAway
from vconflow.ports.fetcher import Fetcher
from vconflow.testing.raw_http_server import RawHttpServer, raw_http_server


@pytest.fixture
async def server() -> AsyncIterator[RawHttpServer]:
    async with raw_http_server() as server:
        yield server


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    """May fetch from loopback by its address, not by any other."""
    async with open_fetcher(["127.0.0.1"]) as fetcher:
        yield fetcher


async def fetch(fetcher: Fetcher, url: str, *, limit: int = 100, timeout: float = 20) -> bytes:
    return await fetcher.fetch(url, limit=limit, timeout=timeout)


def redirect(to: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()


def status(number: int, extra: str = "") -> bytes:
    return f"HTTP/1.1 {number} X\r\n{extra}Content-Length: 0\r\n\r\n".encode()


async def test_gives_body_type_and_size(fetcher: Fetcher, server: RawHttpServer) -> None:
    async with fetcher.open(server.url(), limit=5, timeout=20) as download:
        assert (download.media_type, download.size) == ("audio/wav", 5)
        assert b"".join([chunk async for chunk in download.chunks()]) == b"hello"


async def test_follows_redirects(fetcher: Fetcher, server: RawHttpServer) -> None:
    server.answers = {"/a": redirect("/b"), "/b": redirect(server.url("/c"), 308)}
    assert await fetch(fetcher, server.url("/a")) == b"hello"
    assert server.asked == ["/a", "/b", "/c"]


async def test_gives_up_a_circle(fetcher: Fetcher, server: RawHttpServer) -> None:
    server.answers = {"/a": redirect("/a")}
    with pytest.raises(Permanent, match="redirects"):
        await fetch(fetcher, server.url("/a"))
    assert len(server.asked) == 6


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.2:{port}/",
        "http://localhost.localdomain:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.2]:{port}/",
        "http://[64:ff9b::7f00:2]:{port}/",
        "http://0.0.0.0:{port}/",
        "http://2130706434:{port}/",
        "http://0x7f.2:{port}/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://192.168.1.1/",
        "http://100.64.0.1/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://224.0.0.1/",
        "http://198.18.0.1/",
    ],
)
async def test_keeps_away_from_private_addresses(
    fetcher: Fetcher, server: RawHttpServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"localhost.localdomain": ["127.0.0.2"]}
    resolve_as(monkeypatch, names.get)
    with pytest.raises(Permanent, match="private"):
        await fetch(fetcher, url.format(port=server.port))
    assert server.connections == 0


async def test_a_redirect_is_checked_like_the_first_url(
    fetcher: Fetcher, server: RawHttpServer
) -> None:
    server.answers = {"/a": redirect(server.url("/secret", host="127.0.0.2"))}
    with pytest.raises(Permanent, match="private"):
        await fetch(fetcher, server.url("/a"))
    assert server.asked == ["/a"]


@pytest.mark.parametrize(
    "to", ["file:///etc/passwd", "gopher://127.0.0.1/", "ftp://example.com/", "", "//[x/"]
)
async def test_a_redirect_elsewhere_is_refused(
    fetcher: Fetcher, server: RawHttpServer, to: str
) -> None:
    server.answers = {"/a": redirect(to)}
    with pytest.raises(Permanent):
        await fetch(fetcher, server.url("/a"))


async def test_a_name_that_changes_its_address_is_of_no_use(
    server: RawHttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: checked as public, connected to as private."""
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    asked: list[str] = []

    def rebinding(host: str) -> list[str] | None:
        asked.append(host)
        return next(answers) if host == "rebind.example" else None

    resolve_as(monkeypatch, rebinding)
    async with open_fetcher(["127.0.0.1"]) as fetcher:
        assert await fetch(fetcher, server.url(host="rebind.example")) == b"hello"
        assert asked.count("rebind.example") == 1
        with pytest.raises(Permanent, match="private"):
            await fetch(fetcher, server.url(host="rebind.example"))


async def test_one_private_address_among_public_ones_is_enough(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_as(monkeypatch, lambda host: ["93.184.216.34", "10.0.0.1"])
    with pytest.raises(Permanent, match="private"):
        await fetch(fetcher, "http://mixed.example/")


async def test_exceptions_are_networks_and_names(
    server: RawHttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_as(monkeypatch, lambda host: ["127.0.0.1"] if host.endswith(".internal") else None)
    async with open_fetcher(["Recordings.internal"]) as fetcher:
        assert await fetch(fetcher, server.url(host="recordings.INTERNAL")) == b"hello"
        with pytest.raises(Permanent, match="private"):
            await fetch(fetcher, server.url(host="other.internal"))
    async with open_fetcher(["127.0.0.0/8"]) as fetcher:
        assert await fetch(fetcher, server.url(host="other.internal")) == b"hello"
    with pytest.raises(ConfigError, match="VCONFLOW_FETCH_ALLOW"):
        Allowed(["10.0.0.0/33"])


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "//h/",
        "ftp://h/",
        "http://",
        "http://h:0/",
        "http://h:x/",
        "http://u:p@8.8.8.8/",
        "http://8.8.8.8/a b",
        "http://8.8.8.8/\r\nX: y",
        "http://8.8.8.8/ü",
    ],
)
async def test_refuses_what_is_no_url_to_fetch(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(Permanent):
        await fetch(fetcher, url)


@pytest.mark.parametrize("announced", [True, False])
async def test_stops_at_the_limit(fetcher: Fetcher, server: RawHttpServer, announced: bool) -> None:
    length = b"Content-Length: 100000\r\n" if announced else b""
    server.answers = {"/": b"HTTP/1.1 200 OK\r\n" + length + b"\r\n" + b"x" * 100_000}
    with pytest.raises(Permanent, match="more than 99999 bytes"):
        await fetch(fetcher, server.url(), limit=99_999)
    assert len(await fetch(fetcher, server.url(), limit=100_000)) == 100_000


async def test_a_body_that_breaks_off_may_come_whole_later(
    fetcher: Fetcher, server: RawHttpServer
) -> None:
    server.answers = {"/": b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"}
    with pytest.raises(Retryable):
        await fetch(fetcher, server.url())


async def test_the_time_covers_the_body(fetcher: Fetcher, server: RawHttpServer) -> None:
    server.answers = {"/hangs": b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"}
    with pytest.raises(Retryable, match="in time"):
        await fetch(fetcher, server.url("/hangs"), timeout=0.2)


@pytest.mark.parametrize("number", [408, 429, 500, 503])
async def test_a_status_that_passes(fetcher: Fetcher, server: RawHttpServer, number: int) -> None:
    server.answers = {"/": status(number, "Retry-After: 7\r\n")}
    with pytest.raises(Retryable, match=str(number)) as caught:
        await fetch(fetcher, server.url())
    assert caught.value.retry_after == 7


@pytest.mark.parametrize("number", [204, 206, 304, 401, 404, 410])
async def test_a_status_that_stays(fetcher: Fetcher, server: RawHttpServer, number: int) -> None:
    server.answers = {"/": status(number)}
    with pytest.raises(Permanent, match=str(number)):
        await fetch(fetcher, server.url())


async def test_nobody_there_may_pass(fetcher: Fetcher) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Retryable):
        await fetch(fetcher, f"http://127.0.0.1:{port}/")


async def test_a_check_asks_nothing(
    fetcher: Fetcher, server: RawHttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fetcher.check(server.url())
    for url in (server.url(host="127.0.0.2"), "http://10.0.0.1/", "ftp://8.8.8.8/", "x"):
        with pytest.raises(Permanent):
            await fetcher.check(url)
    resolve_as(monkeypatch, {"mixed.example": ["93.184.216.34", "10.0.0.1"]}.get)
    with pytest.raises(Permanent, match="private"):
        await fetcher.check("https://mixed.example/")
    with pytest.raises(Retryable):
        await fetcher.check("https://no-such-name.invalid/")
    assert server.connections == 0


async def test_errors_of_the_reader_are_its_own(fetcher: Fetcher, server: RawHttpServer) -> None:
    with pytest.raises(OSError, match="disk full"):
        async with fetcher.open(server.url(), limit=100, timeout=20):
            raise OSError("disk full")


async def test_errors_name_no_more_than_the_origin(fetcher: Fetcher, server: RawHttpServer) -> None:
    server.answers = {"/s3cret?sig=s3cret": status(404)}
    with pytest.raises(Permanent) as caught:
        await fetch(fetcher, server.url("/s3cret?sig=s3cret"))
    assert "s3cret" not in str(caught.value)


def test_addresses_wrapped_in_others() -> None:
    with pytest.raises(RefusedAddress):
        Allowed().check("x", ["2002:7f00:1::"])  # 6to4 of 127.0.0.1
    for text in ("fec0::1", "64:ff9b:1::7f00:1", "::127.0.0.1", "::ffff:0:127.0.0.1", "192.0.0.8",
                 "192.88.99.1", "3fff::1", "5f00::1"):  # fmt: skip
        with pytest.raises(RefusedAddress):
            Allowed().check("x", [text])
    Allowed(["fec0::/10"]).check("x", ["fec0::1"])
    Allowed().check("x", ["2002:808:808::", "64:ff9b::808:808", "::ffff:8.8.8.8", "8.8.8.8"])


async def test_names_that_nobody_answers_for_hold_up_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loop's own threads read files, also for those who fetch nothing."""
    answered = threading.Event()

    def silent(host: str) -> list[str] | None:
        if host.endswith(".silent"):
            answered.wait(30)
        return None

    resolve_as(monkeypatch, silent)
    async with open_fetcher() as fetcher:
        waiting = [
            asyncio.create_task(fetcher.fetch(f"http://{n}.silent/", limit=1, timeout=30))
            for n in range(64)
        ]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(20):
            await asyncio.to_thread(lambda: None)
        answered.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(result) for result in results} == {SourceAway}


def resolve_as(monkeypatch: pytest.MonkeyPatch, names: Callable[[str], list[str] | None]) -> None:
    """Answer look-ups of these names; let the system do the others."""
    system = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        found = names(host)
        if found is None:
            return system(host, port, *args, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
