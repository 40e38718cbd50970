"""The HTTP client of the links against a real server."""

import asyncio
import gzip
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from vconflow.adapters.http import open_http
from vconflow.errors import Permanent, Retryable, Throttled
from vconflow.ports.http import HttpSender
from vconflow.testing.webhook_receiver import Reply, WebhookReceiver, webhook_receiver

NOW = 1_700_000_000.0


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as receiver:
        yield receiver


@pytest.fixture
async def http() -> AsyncIterator[HttpSender]:
    async with open_http(now=lambda: NOW) as sender:
        yield sender


async def post(http: HttpSender, url: str, timeout: float = 30.0) -> int:
    return await http.post(url, content=b"{}", headers={"x-a": "ü"}, timeout=timeout)


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_returns_the_status(http: HttpSender, receiver: WebhookReceiver, status: int) -> None:
    receiver.default = Reply(status=status)
    assert await post(http, receiver.url) == status
    (received,) = receiver.received
    assert received.body == b"{}"
    assert received.headers["x-a"].encode("latin-1").decode() == "ü"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_a_status_that_passes(
    http: HttpSender, receiver: WebhookReceiver, status: int
) -> None:
    receiver.default = Reply(status=status)
    with pytest.raises(Retryable, match=f"status {status}") as caught:
        await post(http, receiver.url)
    assert caught.value.retry_after is None
    assert isinstance(caught.value, Throttled) == (status == 429)


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 410, 413, 422])
async def test_a_status_that_stays(
    http: HttpSender, receiver: WebhookReceiver, status: int
) -> None:
    receiver.default = Reply(status=status, headers={"Location": receiver.url})
    with pytest.raises(Permanent, match=f"status {status}"):
        await post(http, receiver.url)
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("1e9", 86400.0),
        (format_datetime(datetime.fromtimestamp(NOW + 90, UTC), usegmt=True), 90.0),
        (format_datetime(datetime.fromtimestamp(NOW - 90, UTC), usegmt=True), 0.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
    ],
)
async def test_retry_after(
    http: HttpSender, receiver: WebhookReceiver, header: str, seconds: float | None
) -> None:
    receiver.default = Reply(status=429, headers={"Retry-After": header})
    with pytest.raises(Retryable) as caught:
        await post(http, receiver.url)
    assert caught.value.retry_after == seconds


async def test_the_timeout_covers_the_whole_exchange(
    http: HttpSender, receiver: WebhookReceiver
) -> None:
    receiver.answer(Reply(fault="hang"))
    with pytest.raises(Retryable, match=r"no answer in 0\.2 s"):
        await post(http, receiver.url, timeout=0.2)
    assert await post(http, receiver.url) == 200


async def test_a_connection_that_breaks(http: HttpSender, receiver: WebhookReceiver) -> None:
    receiver.answer(Reply(fault="reset"))
    with pytest.raises(Retryable):
        await post(http, receiver.url)
    assert await post(http, receiver.url) == 200


async def test_nobody_listens(http: HttpSender) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(Retryable, match=f"http://127.0.0.1:{port}: ConnectError"):
        await post(http, f"http://127.0.0.1:{port}/x")


@pytest.mark.parametrize("url", ["ftp://host/x", "http://", "http://[::x/", "http://h:x/", "x"])
async def test_a_url_that_cannot_work(http: HttpSender, url: str) -> None:
    with pytest.raises(Permanent):
        await post(http, url)


async def test_a_header_that_cannot_be_sent(http: HttpSender, receiver: WebhookReceiver) -> None:
    with pytest.raises(Permanent) as caught:
        await http.post(receiver.url, content=b"", headers={"x": "se\ncret"}, timeout=5)
    assert "cret" not in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize("fault", ["", "reset", "hang"])
async def test_errors_and_logs_keep_secrets(
    http: HttpSender, receiver: WebhookReceiver, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="vconflow")
    receiver.default = Reply(status=500, fault=fault)  # type: ignore[arg-type]  # one of its words
    url = receiver.url.replace("://", "://user:pw1@") + "/pw2?token=pw3"
    with pytest.raises(Retryable) as caught:
        await post(http, url, timeout=0.5)
    shown = f"{caught.value!r} {caught.value.__cause__!r} {caplog.text}"
    assert receiver.url in shown
    assert not any(secret in shown for secret in ("user", "pw1", "pw2", "pw3"))
    assert receiver.received[0].headers["authorization"].startswith("Basic ")


async def test_no_cookie_is_kept(http: HttpSender, receiver: WebhookReceiver) -> None:
    receiver.default = Reply(headers={"Set-Cookie": "session=1; Path=/"})
    await post(http, receiver.url)
    await post(http, receiver.url)
    assert "cookie" not in receiver.received[1].headers


async def test_a_long_answer_is_not_read(http: HttpSender, receiver: WebhookReceiver) -> None:
    receiver.default = Reply(body=b"x" * 50_000_000)
    assert await post(http, receiver.url) == 200


async def test_many_at_once_share_connections(http: HttpSender, receiver: WebhookReceiver) -> None:
    for _ in range(3):
        statuses = await asyncio.gather(*(post(http, f"{receiver.url}/{n}") for n in range(50)))
        assert statuses == [200] * 50
    assert len(receiver.received) == 150


async def test_ask_returns_the_body(http: HttpSender, receiver: WebhookReceiver) -> None:
    receiver.answer(
        Reply(body=b'{"ok": true}'),
        Reply(body=gzip.compress(b"[]"), headers={"Content-Encoding": "gzip"}),
        Reply(status=503, headers={"Retry-After": "3"}),
    )
    assert await ask(http, receiver.url) == b'{"ok": true}'
    assert await ask(http, receiver.url) == b"[]"
    with pytest.raises(Retryable) as caught:
        await ask(http, receiver.url)
    assert caught.value.retry_after == 3


@pytest.mark.parametrize("packed", [False, True])
async def test_ask_refuses_a_long_answer(
    http: HttpSender, receiver: WebhookReceiver, packed: bool
) -> None:
    body = b" " * (1024 * 1024 + 1)
    receiver.answer(
        Reply(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})
        if packed
        else Reply(body=body)
    )
    with pytest.raises(Permanent, match="the answer is over"):
        await ask(http, receiver.url)


async def ask(http: HttpSender, url: str) -> bytes:
    return await http.ask(url, content=b"{}", headers={}, timeout=30.0)
