"""Bulk loads: POST /vcons with one vCon a line."""

import asyncio
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator

import httpx
import pytest
import structlog
from api_doubles import World, make_vcon, uuid_of

from vconflow.errors import Overloaded, Unavailable

NDJSON = {"content-type": "application/x-ndjson"}


def line(**members: object) -> bytes:
    return json.dumps(json.loads(make_vcon(**members))).encode()  # type: ignore[arg-type]


async def in_pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def post(
    client: httpx.AsyncClient, body: bytes, piece: int = 1_000, **headers: str
) -> httpx.Response:
    sent = in_pieces(body, piece)
    return await client.post(
        "/vcons?ingress_lists=inbox", content=sent, headers={**NDJSON, **headers}
    )


@pytest.mark.parametrize("piece", [1, 7, 1_000, 1_000_000])
async def test_every_line_is_accepted_as_it_is(
    client: httpx.AsyncClient, world: World, piece: int
) -> None:
    lines = [line() for _ in range(5)]
    body = b"\n".join([lines[0], b"", lines[1] + b"\r", b"  ", *lines[2:]])
    response = await post(client, body, piece)
    assert response.status_code == 200
    assert response.json() == {"accepted": 5, "rejected_count": 0, "rejected": []}
    held = {uuid: found.document for uuid, found in world.core.held.items()}
    assert held == {uuid_of(text): text for text in lines}
    assert sorted(world.core.lists["inbox"]) == sorted(held)
    assert {call["source"] for call in world.core.accepted} == {"bulk"}


async def test_gzip_is_inflated_on_the_way(client: httpx.AsyncClient, world: World) -> None:
    body = b"".join(line() + b"\n" for _ in range(20))
    response = await post(client, gzip.compress(body), 100, **{"content-encoding": "gzip"})
    assert response.json()["accepted"] == 20
    untold = await post(client, gzip.compress(body), 1)
    assert untold.json()["accepted"] == 20
    cut = await post(client, gzip.compress(body)[:-8], 100, **{"content-encoding": "gzip"})
    assert (cut.status_code, cut.json()["detail"][0]["type"]) == (422, "bad_gzip")


async def test_rejected_lines_are_named_and_the_others_go_on(
    client: httpx.AsyncClient, world: World
) -> None:
    world.settings.vconflow_max_body_bytes = 1_000
    lines = [line(), b"{", b"", line(subject="x" * 1_000), line(uuid="x"), line()]
    response = await post(client, b"\n".join(lines) + b"\n", 100)
    found = response.json()
    assert (found["accepted"], found["rejected_count"]) == (2, 3)
    assert [item["line"] for item in found["rejected"]] == [2, 4, 5]
    assert found["rejected"][1]["detail"] == "The body is larger than 1000 bytes"
    assert found["rejected"][2]["detail"][0]["loc"] == ["body", "uuid"]


async def test_only_the_first_thousand_rejected_lines_are_listed(
    client: httpx.AsyncClient, world: World
) -> None:
    world.settings.vconflow_max_body_bytes = 1_000
    slow, gate = b"[]", asyncio.Event()
    accept = world.core.accept

    async def accept_slowly(document: bytes, lists: tuple[str, ...], **rest: object) -> object:
        if document == slow:
            await gate.wait()
        return await accept(document, lists, **rest)  # type: ignore[arg-type]

    world.core.accept = accept_slowly  # type: ignore[assignment, method-assign]
    asyncio.get_running_loop().call_later(0.2, gate.set)
    body = b"\n".join([slow, *[b"x" * 2_000] * 1_500])
    found = (await post(client, body, 100_000)).json()
    assert (found["accepted"], found["rejected_count"]) == (0, 1_501)
    # The first line was the last to be judged and still stands first.
    assert [item["line"] for item in found["rejected"]] == list(range(1, 1_001))


async def test_an_unconfigured_list_ends_the_load(client: httpx.AsyncClient) -> None:
    response = await client.post("/vcons?ingress_lists=x", content=line(), headers=NDJSON)
    assert response.status_code == 404
    assert response.json() == {"detail": "Ingress list 'x' is not configured"}


async def test_an_outage_ends_the_load_so_that_it_is_repeated(
    client: httpx.AsyncClient, world: World
) -> None:
    world.core.error = Unavailable("Redis is away")
    response = await post(client, b"\n".join(line() for _ in range(600)))
    assert (response.status_code, response.json()) == (503, {"detail": "Redis is away"})
    assert response.headers["retry-after"] == "1"


async def test_a_load_waits_while_the_server_is_overloaded(
    client: httpx.AsyncClient, world: World
) -> None:
    world.core.error = Overloaded("too much is under way")
    posting = asyncio.create_task(post(client, line()))
    async with asyncio.timeout(30):
        while not world.core.refused:
            await asyncio.sleep(0.01)
    world.core.error = None
    assert (await posting).json()["accepted"] == 1


async def test_a_bug_in_one_line_is_a_500(client: httpx.AsyncClient, world: World) -> None:
    world.core.error = ZeroDivisionError()
    with structlog.testing.capture_logs() as lines:
        response = await post(client, line())
    assert response.status_code == 500
    assert [entry["event"] for entry in lines] == ["unhandled"]


async def test_a_slow_core_holds_back_the_sender(client: httpx.AsyncClient, world: World) -> None:
    world.core.gate = asyncio.Event()
    sent = 0
    text = line() + b"\n"

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(2_000):
            sent += 1
            yield text

    posting = asyncio.create_task(client.post("/vcons", content=body(), headers=NDJSON))
    while world.core.under_way < 256:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert sent < 300
    world.core.gate.set()
    assert (await posting).json()["accepted"] == 2_000
    assert world.core.most_under_way == 256


async def test_memory_stays_flat(client: httpx.AsyncClient, world: World) -> None:
    """A body far larger than the window passes; only its documents are dropped here."""
    text = line(subject="x" * 50_000) + b"\n"

    async def body() -> AsyncIterator[bytes]:
        for _ in range(1_500):  # 75 MB
            yield text

    tracemalloc.start()
    try:
        response = await client.post("/vcons", content=body(), headers=NDJSON)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert response.json()["accepted"] == 1_500
    assert peak < 30_000_000


async def test_one_vcon_may_be_posted_here_as_well(client: httpx.AsyncClient) -> None:
    document = make_vcon()
    response = await client.post("/vcons", content=document)
    assert (response.status_code, response.content) == (201, document)


async def test_each_line_has_a_key_of_its_own(client: httpx.AsyncClient, world: World) -> None:
    body = b"\n".join([line(), b"", line()])
    await post(client, body, **{"idempotency-key": "load"})
    assert {call["key"] for call in world.core.accepted} == {"load\n1", "load\n3"}
    await post(client, body)
    assert world.core.accepted[-1]["key"] == ""
