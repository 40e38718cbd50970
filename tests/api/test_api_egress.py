"""Egress: popped entries are gone once the response has been sent, and come back otherwise."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from api_doubles import TOKEN, World, served

from vconflow.api import build_asgi
from vconflow.errors import Unavailable


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", "/vcon/egress?egress_list=out"),
        ("GET", "/chain/main/egress?"),
        ("POST", "/chain/main/egress?"),
        ("GET", "/api/vcon/egress?egress_list=out"),
    ],
)
async def test_the_oldest_are_handed_out_once(
    client: httpx.AsyncClient, world: World, method: str, url: str
) -> None:
    world.egress.fill("out", ["a", "b", "c", "d"])
    assert (await client.request(method, url)).json() == ["a"]
    assert (await client.request(method, f"{url}&limit=2")).json() == ["b", "c"]
    assert (await client.request(method, f"{url}&limit=10")).json() == ["d"]
    empty = await client.request(method, url)
    assert (empty.status_code, empty.json()) == (200, [])
    assert [entry.uuid for entry in world.egress.acked] == ["a", "b", "c", "d"]
    assert world.egress.leased == []


async def test_a_list_that_links_route_to_can_be_popped(
    client: httpx.AsyncClient, world: World
) -> None:
    world.egress.fill("named-by-a-link", ["a"])
    assert (await client.get("/vcon/egress?egress_list=named-by-a-link")).json() == ["a"]
    assert (await client.get("/vcon/egress?egress_list=nowhere")).json() == []


@pytest.mark.parametrize("url", ["/vcon/egress?egress_list=inbox", "/chain/source/egress"])
async def test_a_list_that_feeds_a_chain_is_not_popped(
    client: httpx.AsyncClient, world: World, url: str
) -> None:
    world.egress.fill("inbox", ["a"])
    response = await client.get(url)
    assert response.status_code == 409
    assert response.json() == {"detail": "List 'inbox' feeds the chain 'main' and cannot be popped"}
    assert world.egress.leased == []


@pytest.mark.parametrize("limit", ["-1", "1000000001", "all"])
async def test_the_limit_is_bounded(client: httpx.AsyncClient, limit: str) -> None:
    response = await client.get(f"/vcon/egress?egress_list=out&limit={limit}")
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", "limit"]


async def test_a_limit_above_the_most_of_one_answer_gives_the_most(
    client: httpx.AsyncClient, world: World
) -> None:
    world.egress.fill("out", [f"{number}" for number in range(10_001)])
    url = "/vcon/egress?egress_list=out&limit=50000"
    assert [len((await client.get(url)).json()) for _ in range(3)] == [10_000, 1, 0]


async def test_nothing_is_popped_by_a_limit_of_zero_or_by_head(
    client: httpx.AsyncClient, world: World
) -> None:
    world.egress.fill("out", ["a"])
    assert (await client.get("/vcon/egress?egress_list=out&limit=0")).json() == []
    head = await client.head("/vcon/egress?egress_list=out")
    assert (head.status_code, head.headers["allow"]) == (405, "GET, OPTIONS")
    assert world.egress.leased == []


async def test_a_failed_ack_does_not_spoil_the_response(
    client: httpx.AsyncClient, world: World
) -> None:
    world.egress.fill("out", ["a"])
    world.egress.settle_error = Unavailable("Redis is away")
    response = await client.get("/vcon/egress?egress_list=out")
    assert (response.status_code, response.json()) == (200, ["a"])
    assert [entry.uuid for entry in world.egress.leased] == ["a"]


def small_buffers(listener: socket.socket) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


def connected(port: int, url: str, method: str = "GET") -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", port))
    request = f"{method} {url} HTTP/1.1\r\nHost: test\r\nx-conserver-api-token: {TOKEN}\r\n\r\n"
    connection.sendall(request.encode())
    return connection


async def test_a_client_gone_before_the_response_loses_nothing(world: World) -> None:
    world.egress.fill("out", ["a", "b"])
    world.egress.lease_gate = asyncio.Event()
    async with served(build_asgi(world.services()), small_buffers) as port:
        with connected(port, "/vcon/egress?egress_list=out"):
            await world.egress.leasing.wait()
        await asyncio.sleep(0.2)  # the server notices
        world.egress.lease_gate.set()
        await asyncio.wait_for(world.egress.settled.wait(), 10)
    assert world.egress.acked == []
    assert [entry.uuid for entry in world.egress.waiting["out"]] == ["a", "b"]


async def test_a_client_gone_in_the_middle_of_the_response_loses_nothing(world: World) -> None:
    uuids = [f"{number:036}" for number in range(10_000)]  # more than the buffers hold
    world.egress.fill("out", uuids)
    async with served(build_asgi(world.services()), small_buffers) as port:
        with connected(port, "/vcon/egress?egress_list=out&limit=10000") as connection:
            await asyncio.to_thread(connection.recv, 100)
            assert not world.egress.settled.is_set()
        await asyncio.wait_for(world.egress.settled.wait(), 10)
    assert world.egress.acked == []
    assert [entry.uuid for entry in world.egress.waiting["out"]] == uuids


async def test_a_client_gone_in_the_middle_of_a_lease_holds_nothing(world: World) -> None:
    uuids = [f"{number:036}" for number in range(10_000)]
    world.egress.fill("out", uuids)
    async with served(build_asgi(world.services()), small_buffers) as port:
        url = "/egress/out/lease?limit=10000&seconds=86400"
        with connected(port, url, "POST") as connection:
            await asyncio.to_thread(connection.recv, 100)
            assert not world.egress.settled.is_set()
        await asyncio.wait_for(world.egress.settled.wait(), 10)
    assert [entry.uuid for entry in world.egress.waiting["out"]] == uuids


async def test_a_client_that_closes_right_after_reading_has_popped(world: World) -> None:
    uuids = [f"{number:036}" for number in range(10_000)]
    world.egress.fill("out", uuids)
    async with served(build_asgi(world.services()), small_buffers) as port:
        url = f"http://127.0.0.1:{port}/vcon/egress?egress_list=out&limit=10000"
        async with httpx.AsyncClient(headers={"x-conserver-api-token": TOKEN}) as client:
            assert (await client.get(url)).json() == uuids
        await asyncio.wait_for(world.egress.settled.wait(), 10)
    assert len(world.egress.acked) == len(uuids)


def request_of(world: World, send: Callable[[Any], Awaitable[None]]) -> asyncio.Task[None]:
    """A request to pop one entry, below any server, so that it can be cancelled."""
    never = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await never.wait()
        return {}

    scope = {
        "type": "http",
        "scheme": "http",
        "method": "GET",
        "path": "/vcon/egress",
        "query_string": b"egress_list=out",
        "headers": [(b"x-conserver-api-token", TOKEN.encode())],
    }

    async def request() -> None:
        await build_asgi(world.services())(scope, receive, send)

    return asyncio.create_task(request())


async def test_a_cancelled_request_gives_its_entries_back(world: World) -> None:
    """As when the server stops while a client does not read."""
    world.egress.fill("out", ["a"])
    sending, never = asyncio.Event(), asyncio.Event()

    async def send(message: Any) -> None:
        sending.set()
        await never.wait()

    request = request_of(world, send)
    await sending.wait()
    request.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await request
    assert request.cancelled()
    assert [entry.uuid for entry in world.egress.waiting["out"]] == ["a"]


async def test_the_ack_of_a_sent_response_outlives_cancellation(world: World) -> None:
    world.egress.fill("out", ["a"])
    world.egress.ack_gate = asyncio.Event()

    async def send(message: Any) -> None: ...

    request = request_of(world, send)
    await world.egress.settled.wait()
    request.cancel()
    await asyncio.sleep(0.05)
    assert not request.done()
    world.egress.ack_gate.set()
    with contextlib.suppress(asyncio.CancelledError):
        await request
    assert [entry.uuid for entry in world.egress.acked] == ["a"]
