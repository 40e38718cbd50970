"""What an answer's head looks like on the wire, and that a request leaves nothing behind."""

import asyncio
import gc

import httpx
import pytest
from api_doubles import KEY, World, make_vcon, uuid_of
from http_support import PATIENCE, connected, serving
from starlette.types import Receive, Scope, Send

from vconflow.api import build_asgi

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def answered(*headers: tuple[bytes, bytes]) -> bytes:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        await send({"type": "http.response.body", "body": b"abc"})

    async with serving(app) as (port, _), connected(port) as client:
        client.send(REQUEST)
        return await client.head()


async def test_a_plain_head_says_all_and_the_date() -> None:
    head = await answered((b"content-length", b"3"), (b"etag", b'"1"'), (b"X-Own", b"a: b"))
    first, date, *rest = head.split(b"\r\n")
    assert first == b"HTTP/1.1 200 OK"
    assert date.startswith(b"date: ")
    assert rest == [b"content-length: 3", b'etag: "1"', b"x-own: a: b", b"", b""]


async def test_without_a_length_the_body_is_chunked() -> None:
    assert b"transfer-encoding: chunked" in await answered((b"x-own", b"1"))


async def test_connection_close_is_passed_on() -> None:
    head = await answered((b"content-length", b"3"), (b"connection", b"close"))
    assert head.count(b"connection: close") == 1


@pytest.mark.parametrize("name", [b"x-own", b"etag"])
async def test_a_header_with_a_line_break_is_not_sent(name: bytes) -> None:
    head = await answered((b"content-length", b"3"), (name, b"a\r\nset-cookie: b"))
    assert head.startswith(b"HTTP/1.1 500")
    assert b"set-cookie" not in head


async def test_requests_leave_nothing_to_the_garbage_collector() -> None:
    document = make_vcon()
    app = build_asgi(World().services())
    async with (
        serving(app) as (port, _),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=KEY) as client,
    ):
        assert await circles(client, document) == []


async def circles(client: httpx.AsyncClient, document: bytes) -> list[str]:
    """What of the server's own only the garbage collector would have freed."""
    gc.collect()
    gc.disable()
    try:
        gc.set_debug(gc.DEBUG_SAVEALL)
        for _ in range(10):
            (await client.post("/vcon?ingress_lists=inbox", content=document)).raise_for_status()
            (await client.get(f"/vcon/{uuid_of(document)}")).raise_for_status()
        gc.collect()
        kinds = (type(item).__name__ for item in gc.garbage)
        return [kind for kind in kinds if kind in {"Cycle", "Call"}]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def test_requests_in_a_row_are_answered_in_a_row() -> None:
    """Sent at once on one connection: each gets its own answer, and nothing stays behind."""
    documents = [make_vcon() for _ in range(5)]
    app = build_asgi(World().services())
    key = "".join(f"{name}: {value}\r\n" for name, value in KEY.items())
    posts = [
        f"POST /vcon HTTP/1.1\r\nhost: x\r\n{key}content-length: {len(it)}\r\n\r\n".encode() + it
        for it in documents
    ]
    last = f"GET /vcon/{uuid_of(documents[0])} HTTP/1.1\r\nhost: x\r\n{key}\r\n".encode()
    async with serving(app) as (port, server), connected(port) as client:
        client.send(b"".join([*posts, last]))
        for status, document in [*((b"201", it) for it in documents), (b"200", documents[0])]:
            head = await client.head()
            assert head.startswith(b"HTTP/1.1 " + status)
            assert b"content-length: %d\r\n" % len(document) in head
            assert await client.reader.readexactly(len(document)) == document
        assert server.server_state.tasks == set()


async def test_a_head_is_sent_with_its_body_and_alone_to_a_head_request() -> None:
    app = build_asgi(World().services())
    document = make_vcon()
    key = "".join(f"{name}: {value}\r\n" for name, value in KEY.items())
    async with serving(app) as (port, _), connected(port) as client:
        post = f"POST /vcon HTTP/1.1\r\nhost: x\r\n{key}content-length: {len(document)}\r\n\r\n"
        client.send(post.encode() + document)
        await client.head()
        await client.reader.readexactly(len(document))
        path = f"/vcon/{uuid_of(document)}"
        heads = []
        for method in ("GET", "HEAD"):
            client.send(f"{method} {path} HTTP/1.1\r\nhost: x\r\n{key}\r\n".encode())
            heads.append(await client.head())
            if method == "GET":
                assert await client.reader.readexactly(len(document)) == document
        # All but the two that differ from request to request, in whatever order.
        got, headed = (
            {line for line in head.split(b"\r\n") if not line.startswith((b"date:", b"x-request"))}
            for head in heads
        )
        assert got == headed


async def test_an_answer_that_says_close_is_the_last() -> None:
    """While it stops the server says so; what was sent behind is for the next connection."""
    app = build_asgi(World().services())
    first, second = make_vcon(), make_vcon()
    key = "".join(f"{name}: {value}\r\n" for name, value in KEY.items())
    posts = [
        f"POST /vcon HTTP/1.1\r\nhost: x\r\n{key}content-length: {len(it)}\r\n\r\n".encode() + it
        for it in (first, second)
    ]
    async with serving(app) as (port, server), connected(port) as client:
        server.see_clients_off(accept=True)
        client.send(b"".join(posts))
        answer = await client.answer()
    assert answer.count(b"HTTP/1.1 201") == 1
    assert b"connection: close" in answer
    assert answer.endswith(first)


async def test_a_request_at_work_learns_that_its_client_has_gone() -> None:
    """Also when another one was sent behind it."""
    gone = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async with serving(app) as (port, server):
        async with connected(port) as client:
            client.send(REQUEST + REQUEST)
            while not server.server_state.tasks:
                await asyncio.sleep(0.01)
        async with asyncio.timeout(PATIENCE):
            await gone.wait()
            while server.server_state.tasks:
                await asyncio.sleep(0.01)
