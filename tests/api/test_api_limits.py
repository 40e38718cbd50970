"""Clients that are slow, greedy or broken are answered and let go; the others notice nothing."""

import asyncio
import socket
import time

import httpx
import pytest
from api_doubles import KEY, World, make_vcon
from http_support import PATIENCE, connected, echo, serving
from starlette.types import Receive, Scope, Send

from vconflow.api import build_asgi
from vconflow.server.protocol import HttpProtocol, Limits
from vconflow.telemetry import metrics

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


def status(answer: bytes) -> int:
    return int(answer.split()[1])


def refused(reason: str) -> float:
    value = metrics.REGISTRY.get_sample_value(
        "vconflow_connections_refused_total", {"reason": reason}
    )
    return value or 0.0


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 414),
        (b"GET /" + b"a" * 200_000, 414),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 200_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 101 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a" * 20 + b"\r\n\r\n", 400),
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\nabc", 400),
    ],
)
async def test_a_head_that_is_too_large_or_broken_is_refused_and_told(
    request_bytes: bytes, expected: int
) -> None:
    async with serving(echo) as (port, _), connected(port) as client:
        client.send(request_bytes)
        answer = await client.answer()
        assert status(answer) == expected
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"connection: close" in head
        assert b"x-request-id: " in head
        assert body.startswith(b'{"detail":')
        assert b"aaaa" not in answer


async def test_long_but_allowed_heads_pass() -> None:
    url = b"/vcons?" + b"vcon_uuids=00000000-0000-0000-0000-000000000000&" * 1000
    headers = b"".join(b"x-%d: y\r\n" % number for number in range(99))
    async with serving(echo) as (port, _), connected(port) as client:
        for _ in range(3):
            client.send(b"GET " + url + b" HTTP/1.1\r\nhost: x\r\n" + headers + b"\r\n")
            assert status(await client.head()) == 200
            await client.reader.readexactly(1)


async def test_a_large_head_on_a_connection_in_use_is_refused_too() -> None:
    async with serving(echo) as (port, _), connected(port) as client:
        client.send(GET)
        assert status(await client.head()) == 200
        await client.reader.readexactly(1)
        client.send(b"GET / HTTP/1.1\r\nx: ")
        for _ in range(20):
            client.send(b"a" * 10_000)
            await asyncio.sleep(0)
        assert status(await client.answer()) == 431


async def test_a_head_that_does_not_come_is_not_waited_for() -> None:
    before = refused("408")
    async with (
        serving(echo, vconflow_header_timeout=0.3) as (port, _),
        connected(port) as silent,
        connected(port) as blank,
        connected(port) as halting,
    ):
        halting.send(b"GET / HTTP/1.1\r\nhost: ")
        blank.send(b"\r\n")
        assert status(await halting.answer()) == 408
        assert await silent.answer() == b""
        assert await blank.answer() == b""
    assert refused("408") == before + 1


async def test_blank_lines_do_not_keep_an_idle_connection_open() -> None:
    async with (
        serving(echo, vconflow_header_timeout=0.3) as (port, _),
        connected(port) as client,
    ):
        client.send(GET)
        await client.head()
        await client.reader.readexactly(1)
        client.send(b"\r\n")
        assert await client.answer() == b""


async def test_an_idle_connection_is_closed() -> None:
    async with serving(echo, vconflow_keep_alive=1) as (port, _), connected(port) as client:
        client.send(GET)
        await client.head()
        assert await client.answer() == b"0"


async def test_a_body_must_make_progress() -> None:
    async with (
        serving(echo, vconflow_body_timeout=0.8) as (port, _),
        connected(port) as stuck,
        connected(port) as dripping,
        connected(port) as slow,
    ):
        head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 20000\r\n\r\n"
        for client in (stuck, dripping, slow):
            client.send(head)

        async def drip() -> None:
            while True:
                dripping.send(b"x")
                await asyncio.sleep(0.05)

        dripper = asyncio.create_task(drip())
        for _ in range(20):
            slow.send(b"x" * 1000)
            await asyncio.sleep(0.1)
        assert status(await slow.head()) == 200
        assert status(await stuck.answer()) == 408
        assert status(await dripping.answer()) == 408
        dripper.cancel()


async def test_a_client_that_we_hold_back_is_not_blamed() -> None:
    async def unhurried(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(3.5)
        await echo(scope, receive, send)

    async with (
        serving(unhurried, vconflow_body_timeout=1.5) as (port, _),
        connected(port) as large,
        connected(port) as asking,
    ):
        large.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3000000\r\n\r\n")
        large.send(b"x" * 3_000_000)
        head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n"
        asking.send(head + b"expect: 100-continue\r\n\r\n")
        assert status(await asking.head()) == 100
        asking.send(b"12345")
        assert status(await asking.head()) == 200
        assert status(await large.head()) == 200


async def test_an_answer_that_nobody_reads_is_given_up() -> None:
    body = b"x" * 20_000_000

    async def generous(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async with serving(generous, vconflow_body_timeout=0.5) as (port, server):
        stingy = socket.create_connection(("127.0.0.1", port))
        stingy.sendall(GET)
        async with asyncio.timeout(PATIENCE):
            while not server.server_state.connections:
                await asyncio.sleep(0.01)
            while server.server_state.connections:
                await asyncio.sleep(0.05)
        stingy.close()


def test_more_that_is_unsent_is_progress_as_less_is() -> None:
    class Sending:
        size = 0

        def get_write_buffer_size(self) -> int:
            return self.size

    connection = HttpProtocol.__new__(HttpProtocol)
    connection._limits = Limits(body=10.0)
    connection._unsent, connection._unsent_since = 0, 0.0
    connection.transport = Sending()  # type: ignore[assignment]
    stalled = []
    for now, size in ((1, 20_000), (9, 18_000), (18, 270_000), (27, 269_900), (29, 269_800)):
        connection.transport.size = size
        stalled.append(connection._is_stalled(now))
    assert stalled == [False, False, False, False, True]


async def test_too_many_connections_are_sent_away() -> None:
    async with serving(echo, vconflow_max_connections=2) as (port, server):
        async with connected(port) as one, connected(port) as two, connected(port) as three:
            for client, expected in ((one, 200), (two, 200), (three, 503)):
                client.send(GET)
                head = await client.head()
                assert status(head) == expected
            assert b"retry-after: 1" in head
            assert await three.answer() == b'{"detail":"Too many connections"}'
        async with asyncio.timeout(PATIENCE):
            while server.server_state.connections:
                await asyncio.sleep(0.01)
        async with connected(port) as again:
            again.send(GET)
            assert status(await again.head()) == 200


async def test_dripping_connections_keep_nobody_out_and_are_closed() -> None:
    count = 500
    async with serving(echo, vconflow_header_timeout=3) as (port, server):
        drips = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
        for _, writer in drips:
            writer.write(b"GET / HTTP/1.1\r\nx: ")

        async def drip() -> None:
            while True:
                for _, writer in drips:
                    writer.write(b"a")
                await asyncio.sleep(0.3)

        dripper = asyncio.create_task(drip())
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            for _ in range(20):
                assert (await client.post("/", content=b"12345")).text == "5"
            assert len(server.server_state.connections) > count
        async with asyncio.timeout(PATIENCE):
            answers = [await reader.read() for reader, _ in drips]
        dripper.cancel()
        assert {status(answer) for answer in answers} == {408}
        for _, writer in drips:
            writer.transport.abort()


async def test_garbage_behind_a_request_does_not_answer_it() -> None:
    gate = asyncio.Event()

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await gate.wait()
        await echo(scope, receive, send)

    async with serving(waiting) as (port, _), connected(port) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nab\x00garbage\r\n\r\n")
        await asyncio.sleep(0.2)
        gate.set()
        answer = await client.answer()
        assert status(answer) == 200
        assert answer.partition(b"\r\n\r\n")[2].startswith(b"2")


async def test_an_upgrade_is_not_followed_and_loses_no_body() -> None:
    """Clients that prefer HTTP/2 ask for it with their first request, whatever that is."""
    head = (
        b"POST / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\n"
        b"upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\ncontent-length: 5\r\n\r\n"
    )
    async with serving(echo) as (port, _), connected(port) as client:
        for pieces in ([head + b"12345"], [head, b"12345"], [head[:50], head[50:] + b"123", b"45"]):
            for piece in pieces:
                client.send(piece)
                await asyncio.sleep(0.02)
            assert status(await client.head()) == 200
            assert await client.reader.readexactly(1) == b"5"
        client.send((head + b"12345") * 1000)
        for _ in range(1000):
            assert status(await client.head()) == 200
            assert await client.reader.readexactly(1) == b"5"


async def test_this_is_no_proxy() -> None:
    async with serving(echo) as (port, _), connected(port) as client:
        client.send(b"CONNECT example.org:443 HTTP/1.1\r\nhost: example.org\r\n\r\n")
        assert status(await client.answer()) == 405


CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


async def test_trailers_are_no_headers_of_this_request_or_the_next() -> None:
    seen: list[list[tuple[bytes, bytes]]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await echo(scope, receive, send)
        seen.append(scope["headers"])

    async with serving(app) as (port, _), connected(port) as client:
        for _ in range(2):
            client.send(CHUNKED + b"2\r\nab\r\n0\r\nx-conserver-api-token: key\r\nx: y\r\n\r\n")
            assert status(await client.head()) == 200
            assert await client.reader.readexactly(1) == b"2"
        client.send(GET)
        assert status(await client.head()) == 200
    assert seen[:2] == [[(b"host", b"x"), (b"transfer-encoding", b"chunked")]] * 2
    assert seen[2:] == [[(b"host", b"x")]]


async def test_a_key_in_a_trailer_opens_nothing() -> None:
    head = CHUNKED.replace(b"POST /", b"POST /vcon")
    trailer = b"x-conserver-api-token: " + KEY["x-conserver-api-token"].encode()
    body = make_vcon()
    async with serving(build_asgi(World().services())) as (port, _), connected(port) as client:
        client.send(head + b"%x\r\n%b\r\n0\r\n%b\r\n\r\n" % (len(body), body, trailer))
        assert status(await client.head()) == 403


@pytest.mark.parametrize("beside", [b"x: y\r\n", b"x: " + b"a" * 100_000, b"1;" + b"a" * 100_000])
async def test_what_comes_beside_a_body_has_an_end(beside: bytes) -> None:
    async with serving(echo) as (port, _), connected(port) as client:
        client.send(CHUNKED + b"2\r\nab\r\n" + (b"" if beside.startswith(b"1;") else b"0\r\n"))
        await asyncio.sleep(0.1)  # what comes with the body in one read is not counted
        for _ in range(max(1, 200_000 // len(beside))):
            client.send(beside)
            await asyncio.sleep(0)
        assert status(await client.answer()) == 431


async def test_a_long_head_in_front_of_a_slow_body_is_not_beside_it() -> None:
    async with serving(echo) as (port, _), connected(port) as client:
        long = b"a" * 60_000
        client.send(
            CHUNKED.replace(b"POST /", b"POST /" + long).replace(b"host: ", b"host: " + long)
        )
        await asyncio.sleep(0.1)
        for _ in range(100):
            client.send(b"4\r\nabcd\r\n" * 100)
            await asyncio.sleep(0)
        client.send(b"0\r\n\r\n")
        assert status(await client.head()) == 200
        assert await client.reader.readexactly(5) == b"40000"


async def test_an_early_refusal_has_the_headers_of_every_answer() -> None:
    async with (
        serving(build_asgi(World().services())) as (port, _),
        connected(port) as refused_client,
        connected(port) as client,
    ):
        refused_client.send(b"\x16\x03\x01\r\n\r\n")
        client.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        early, usual = headers_in(await refused_client.answer()), headers_in(await client.head())
        assert set(usual) - set(early) <= {b"date"}
        same = (b"content-security-policy", b"x-frame-options", b"referrer-policy")
        assert [early[name] for name in same] == [usual[name] for name in same]


def headers_in(answer: bytes) -> dict[bytes, bytes]:
    lines = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    return {name: value for name, _, value in (line.partition(b": ") for line in lines)}


async def test_pipelined_requests_are_answered_in_order() -> None:
    post = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b"
    async with serving(echo) as (port, _), connected(port) as client:
        client.send(b"".join(post % (size, b"x" * size) for size in (1, 2, 3)))
        for size in (1, 2, 3):
            assert status(await client.head()) == 200
            assert await client.reader.readexactly(1) == str(size).encode()


@pytest.mark.parametrize("path", ["/vcon", "/vcon/external-ingress?ingress_list=inbox"])
@pytest.mark.parametrize("expecting", [True, False])
async def test_a_wrong_key_is_refused_before_the_body_is_sent(path: str, expecting: bool) -> None:
    async with serving(build_asgi(World().services())) as (port, _), connected(port) as client:
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n"
        expect = "expect: 100-continue\r\n" if expecting else ""
        client.send(f"{head}{expect}x-conserver-api-token: wrong\r\n\r\n".encode())
        answer = await client.answer()
        assert status(answer) == 403
        assert b"connection: close" in answer
        assert b"100 Continue" not in answer


async def test_a_refused_body_of_100_mb_is_not_read() -> None:
    async with serving(build_asgi(World().services())) as (port, _), connected(port) as client:
        client.send(
            b"POST /vcon HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n"
            b"x-conserver-api-token: wrong\r\n\r\n"
        )
        sent = 0
        while sent < 100_000_000:
            client.send(b"x" * 65_536)
            try:
                await client.writer.drain()
            except ConnectionError:
                break
            sent += 65_536
        assert sent < 50_000_000


async def test_a_client_that_sends_on_gets_its_refusal() -> None:
    def send_slowly(port: int) -> bytes:
        """As clients do that look for an answer when they have sent everything."""
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
            head = b"POST /vcon HTTP/1.1\r\nhost: x\r\ncontent-length: 600000\r\n"
            client.sendall(head + b"x-conserver-api-token: wrong\r\n\r\n")
            for _ in range(6):
                time.sleep(0.05)
                client.sendall(b"x" * 100_000)
            return client.recv(65_536)

    async with serving(build_asgi(World().services())) as (port, _):
        assert status(await asyncio.to_thread(send_slowly, port)) == 403


async def test_a_refused_connection_ends_soon_although_the_client_stays() -> None:
    async with (
        serving(build_asgi(World().services())) as (port, server),
        connected(port) as client,
    ):
        head = b"POST /vcon HTTP/1.1\r\nhost: x\r\ncontent-length: 600000\r\n"
        client.send(head + b"x-conserver-api-token: wrong\r\n\r\n")
        assert status(await client.answer()) == 403, "the end of the answer is told at once"
        client.send(b"x")
        async with asyncio.timeout(PATIENCE):
            while server.server_state.connections:
                await asyncio.sleep(0.05)


async def test_deep_nesting_is_refused() -> None:
    deep = make_vcon(meta="X").replace(b'"X"', b"[" * 10_000 + b"]" * 10_000)
    app = build_asgi(World().services())
    async with (
        serving(app) as (port, _),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=KEY) as client,
    ):
        assert (await client.post("/vcon", content=deep)).status_code == 422
