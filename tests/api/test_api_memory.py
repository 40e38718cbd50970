"""Large bodies and answers may hold so much memory all together, and no more."""

import asyncio
import json
from contextlib import AsyncExitStack

import httpx
import pytest
from api_doubles import KEY, World, make_vcon, uuid_of
from http_support import PATIENCE, Client, connected, serving

from vconflow.api import build_asgi, lists
from vconflow.api.call import Call
from vconflow.api.lists import ingress_lists
from vconflow.api.memory import Memory
from vconflow.errors import Overloaded, Unavailable

MOST, LARGE = 1_000_000, 400_000
TOKEN = KEY["x-conserver-api-token"]
LOAD = {"content-type": "application/x-ndjson"}


@pytest.fixture
def world() -> World:
    found = World()
    found.settings.vconflow_max_bodies_bytes = MOST
    return found


def large() -> bytes:
    return make_vcon(x="y" * LARGE)


def begun(client: Client, path: str, body: bytes, kind: str = "application/json") -> None:
    """Send all of a request but its last byte."""
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nx-conserver-api-token: {TOKEN}\r\n"
    length = f"content-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    client.send((head + length).encode() + body[:-1])


async def until(memory: Memory, held: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while not held <= memory._held < held + LARGE:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("path", "kind"), [("/vcon", "application/json"), ("/vcons", "application/x-ndjson")]
)
async def test_bodies_under_way_are_limited_together(world: World, path: str, kind: str) -> None:
    services = world.services()
    bodies = [large() for _ in range(3)]
    async with serving(build_asgi(services)) as (port, _), AsyncExitStack() as stack:
        one, two, three = [await stack.enter_async_context(connected(port)) for _ in range(3)]
        begun(one, path, bodies[0], kind)
        begun(two, path, bodies[1], kind)
        await until(services.bodies, 2 * LARGE)
        begun(three, "/vcon", bodies[2])
        head = await three.head()
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after:" in head
        for client, body in ((one, bodies[0]), (two, bodies[1])):
            client.send(body[-1:])
            assert (await client.head()).split()[1] in (b"200", b"201")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=KEY) as client:
            assert (await client.post("/vcon", content=bodies[2])).status_code == 201
    assert services.bodies._held == 0


async def test_small_bodies_pass_while_there_is_no_room_for_large_ones(world: World) -> None:
    services = world.services()
    services.bodies.change(0, MOST)
    async with (
        serving(build_asgi(services)) as (port, _),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=KEY) as client,
    ):
        assert (await client.post("/vcon", content=large())).status_code == 503
        assert (await client.post("/vcon", content=make_vcon())).status_code == 201
        lines = b"\n".join(make_vcon() for _ in range(10))
        assert (await client.post("/vcons", content=lines, headers=LOAD)).status_code == 200


async def test_answers_that_nobody_reads_are_limited_together(world: World) -> None:
    services = world.services()
    # More than the sockets of both sides take.
    document = make_vcon(x="y" * 8 * MOST)
    world.settings.vconflow_max_bodies_bytes = 20 * MOST
    await world.core.accept(document, ())
    get = f"GET /vcon/{uuid_of(document)} HTTP/1.1\r\nhost: x\r\nx-conserver-api-token: {TOKEN}\r\n"
    async with serving(build_asgi(services)) as (port, _), AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(connected(port)) for _ in range(2)]
        for client in idle:
            client.send(f"{get}\r\n".encode())
            assert (await client.head()).startswith(b"HTTP/1.1 200 ")
        third = await stack.enter_async_context(connected(port))
        third.send(f"{get}\r\n".encode())
        assert (await third.head()).startswith(b"HTTP/1.1 503 ")
        async with asyncio.timeout(PATIENCE):
            assert await idle[0].reader.readexactly(len(document)) == document
        again = await stack.enter_async_context(connected(port))
        again.send(f"{get}\r\n".encode())
        assert (await again.head()).startswith(b"HTTP/1.1 200 ")
    async with asyncio.timeout(PATIENCE):
        while services.answers._held:
            await asyncio.sleep(0.01)


async def test_many_vcons_come_in_order_though_few_are_held(world: World) -> None:
    documents = [large() for _ in range(3)]
    for document in documents:
        await world.core.accept(document, ())
    world.settings.vconflow_max_bodies_bytes = 9 * LARGE
    services = world.services()
    uuids = [uuid_of(documents[number % 3]) for number in range(50)]
    uuids[20] = uuid_of(make_vcon())
    async with (
        serving(build_asgi(services)) as (port, _),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=KEY) as client,
    ):
        reply = await client.get("/vcons", params={"vcon_uuids": ",".join(uuids)})
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "application/json"
        found = reply.json()
        assert [it and it["uuid"] for it in found] == [*uuids[:20], None, *uuids[21:]]
        assert found[0] == json.loads(documents[0])
    assert services.answers._held == 0


async def test_an_outage_in_the_middle_of_many_vcons_ends_the_answer_early(world: World) -> None:
    documents = [make_vcon() for _ in range(20)]
    for document in documents:
        await world.core.accept(document, ())
    reads = 0
    get = world.core.get

    async def failing(uuid: str) -> bytes | None:
        nonlocal reads
        reads += 1
        if reads > 10:
            raise Unavailable("away")
        return await get(uuid)

    world.core.get = failing  # type: ignore[method-assign]
    uuids = ",".join(map(uuid_of, documents))
    async with (
        serving(build_asgi(world.services())) as (port, _),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=KEY) as client,
    ):
        with pytest.raises(httpx.TransportError):
            await client.get("/vcons", params={"vcon_uuids": uuids})


def test_only_one_alone_may_hold_more_than_the_limit() -> None:
    memory = Memory(100, "bodies")
    memory.change(0, 150)
    memory.change(150, 200)
    with pytest.raises(Overloaded):
        memory.change(0, 10)
    memory.change(200, 60)
    memory.change(0, 40)
    with pytest.raises(Overloaded):
        memory.change(40, 41)
    memory.change(40, 0)
    memory.change(60, 0)
    memory.change(0, 101)


def test_long_list_names_are_not_kept() -> None:
    def named(query: bytes) -> tuple[str, ...]:
        scope = {"type": "http", "query_string": query, "headers": []}
        return ingress_lists(Call(World().services(), scope, None, {}))  # type: ignore[arg-type]

    lists._cached_lists.cache_clear()
    names = [f"list-{number}" for number in range(1000)]
    assert named(f"ingress_lists={','.join(names)}".encode()) == tuple(names)
    assert lists._cached_lists.cache_info().currsize == 0
    assert named(b"ingress_lists=a,b") == ("a", "b")
    assert lists._cached_lists.cache_info().currsize == 1
