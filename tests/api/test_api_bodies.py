"""Request bodies: content types, gzip and limits."""

import asyncio
import gzip
import socket

import httpx
import pytest
from api_doubles import KEY, World, make_vcon, served, uuid_of

from vconflow.api import build_asgi
from vconflow.api.gzipped import Inflater, inflate
from vconflow.api.refusals import InvalidRequest, TooLarge


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/vcon",
        "application/vcon+json",
        "application/vcon+gzip",
        None,
    ],
)
async def test_content_types_that_are_read(
    client: httpx.AsyncClient, content_type: str | None
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    document = make_vcon()
    response = await client.post("/vcon", content=document, headers=headers)
    assert (response.status_code, response.content) == (201, document)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "text/plain"},
        {"content-type": "application/x-ndjson"},
        {"content-encoding": "br"},
    ],
)
async def test_anything_else_is_415(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    response = await client.post("/vcon", content=make_vcon(), headers=headers)
    assert response.status_code == 415
    assert isinstance(response.json()["detail"], str)


async def test_a_415_names_what_the_route_takes(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/jsonl"}
    ndjson = "application/x-ndjson"
    for path, takes in (("/vcon", False), ("/vcons", True)):
        response = await client.post(path, content=make_vcon(), headers=headers)
        assert response.status_code == 415
        assert (ndjson in response.json()["detail"]) is takes


@pytest.mark.parametrize(
    "headers",
    [
        {"content-encoding": "gzip"},
        {"content-type": "application/vcon+gzip"},
        {"content-type": "application/json"},
    ],
)
async def test_gzip_is_inflated_however_it_is_declared(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    document = make_vcon()
    response = await client.post("/vcon", content=gzip.compress(document), headers=headers)
    assert (response.status_code, response.content) == (201, document)


async def test_a_gzipped_vcon_may_be_sent_gzipped(client: httpx.AsyncClient) -> None:
    document = make_vcon()
    response = await client.post(
        "/vcon",
        content=gzip.compress(gzip.compress(document)),
        headers={"content-encoding": "gzip", "content-type": "application/vcon+gzip"},
    )
    assert (response.status_code, response.content) == (201, document)


@pytest.mark.parametrize(
    "body",
    [
        make_vcon(),
        gzip.compress(make_vcon())[:-9],
        gzip.compress(make_vcon())[:20] + b"\0" * 40,
        gzip.compress(make_vcon()) + b"garbage",
    ],
    ids=["not gzip", "cut short", "damaged", "garbage after it"],
)
async def test_broken_gzip_is_a_422(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("/vcon", content=body, headers={"content-encoding": "gzip"})
    assert response.status_code == 422
    [problem] = response.json()["detail"]
    assert (problem["loc"], problem["type"]) == (["body"], "bad_gzip")


async def test_the_limit_counts_what_is_inside_the_gzip(
    client: httpx.AsyncClient, world: World
) -> None:
    world.settings.vconflow_max_body_bytes = 2_000
    bomb = gzip.compress(make_vcon(subject="x" * 100_000))
    assert len(bomb) < 2_000
    response = await client.post("/vcon", content=bomb, headers={"content-encoding": "gzip"})
    assert response.status_code == 413
    assert response.json() == {"detail": "The body is larger than 2000 bytes"}


async def test_a_body_of_exactly_the_limit_is_taken(
    client: httpx.AsyncClient, world: World
) -> None:
    document = make_vcon()
    world.settings.vconflow_max_body_bytes = len(document)
    assert (await client.post("/vcon", content=document)).status_code == 201
    assert (await client.post("/vcon", content=document + b" ")).status_code == 413


def test_many_members_and_padding_inflate_to_one_body() -> None:
    parts = [b"a" * 300_000, b"", b"b" * 5]
    packed = b"".join(map(gzip.compress, parts)) + b"\0" * 7
    assert inflate(packed, 300_005) == b"".join(parts)
    with pytest.raises(TooLarge):
        inflate(packed, 300_004)


def test_inflating_byte_by_byte_gives_bounded_pieces() -> None:
    text = b"0123456789" * 200_000
    inflater = Inflater()
    pieces: list[bytes] = []
    for byte in gzip.compress(text):
        pieces += inflater.feed(bytes([byte]))
    inflater.finish()
    assert b"".join(pieces) == text
    assert max(map(len, pieces)) <= 256 * 1024


def test_an_unfinished_stream_is_noticed() -> None:
    inflater = Inflater()
    list(inflater.feed(gzip.compress(b"text")[:-1]))
    with pytest.raises(InvalidRequest, match="cut short"):
        inflater.finish()


async def read_response(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 900000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"],
    ids=["declared", "chunked"],
)
async def test_413_comes_before_the_body_has_been_sent(world: World, framing: bytes) -> None:
    world.settings.vconflow_max_body_bytes = 50_000
    async with served(build_asgi(world.services()), lambda _: None) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        key = f"x-conserver-api-token: {KEY['x-conserver-api-token']}\r\n".encode()
        writer.write(b"POST /vcon HTTP/1.1\r\nHost: test\r\n" + key + framing)
        if b"chunked" in framing:
            writer.write(b"f000\r\n" + b" " * 0xF000 + b"\r\n")  # and no last chunk
        response = await asyncio.wait_for(read_response(reader), 10)
        writer.close()
    assert response.startswith(b"HTTP/1.1 413 ")
    assert b"The body is larger than 50000 bytes" in response


async def test_a_client_that_stops_in_the_middle_of_its_body_harms_nobody(world: World) -> None:
    document = make_vcon()
    async with served(build_asgi(world.services()), lambda _: None) as port:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            key = f"x-conserver-api-token: {KEY['x-conserver-api-token']}\r\n".encode()
            head = b"POST /vcon HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n"
            connection.sendall(head + key + b"\r\n" + document[:50])
        url = f"http://127.0.0.1:{port}/vcon"
        async with httpx.AsyncClient(headers=KEY) as client:
            response = await client.post(url, content=document)
    assert response.status_code == 201
    assert list(world.core.held) == [uuid_of(document)]
