"""/events: server-sent events over a real server."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from api_doubles import KEY, World, served
from test_api_egress import connected, small_buffers

from vconflow.api import build_asgi
from vconflow.api import events as module
from vconflow.ports.history import HistoryRecord

URL = "/events"


@pytest.fixture
async def port(world: World) -> AsyncIterator[int]:
    async with served(build_asgi(world.services()), small_buffers) as port:
        yield port
        world.feed.close()


class Heard:
    """A client of the stream, event by event."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def block(self) -> list[str]:
        """The lines up to the next blank one; empty at the end."""
        lines = []
        async with asyncio.timeout(20):
            async for line in self._lines:
                if not line:
                    break
                lines.append(line)
        return lines

    async def event(self) -> tuple[str, Any]:
        """The next event that is not the beginning, and its data."""
        lines = [line.partition(": ")[::2] for line in await self.block()]
        fields = dict(lines)
        if "event" not in fields:
            return await self.event()
        return fields["event"], json.loads(fields["data"])


@asynccontextmanager
async def listening(port: int, query: str = "") -> AsyncIterator[Heard]:
    url = f"http://127.0.0.1:{port}{URL}{query}"
    async with (
        httpx.AsyncClient(headers=KEY, timeout=20) as client,
        client.stream("GET", url) as response,
    ):
        assert response.status_code == 200, await response.aread()
        yield Heard(response)


def record(number: int, **values: Any) -> HistoryRecord:
    return HistoryRecord(**{"kind": "accepted", "uuid": f"u{number}", "at": 7, **values})


async def test_the_wire(port: int, world: World) -> None:
    async with listening(port) as heard:
        assert heard.response.headers["content-type"] == "text/event-stream"
        assert heard.response.headers["cache-control"] == "no-store"
        assert await heard.block() == ["retry: 3000"]
        world.channel.tell(record(1, kind="dead-lettered", error="it\nbroke: ü", stage="link:x"))
        event, number, data = await heard.block()
        assert event == "event: dead-lettered"
        assert number.startswith("id: 7-")
        assert json.loads(data.removeprefix("data: ")) == {
            "type": "dead-lettered", "at": 7, "uuid": "u1", "error": "it\nbroke: ü",
            "stage": "link:x",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?type=completed&type=halted", [2, 3]),
        ("?type=accepted,halted", [0, 1, 3, 5]),
        ("?chain=main", [0, 2, 4]),
        ("?chain=silent&chain=main", [0, 1, 2, 3, 4]),
        ("?list=out", [2, 4]),
        ("?list=quiet&type=accepted", [1]),
        ("?chain=main&list=out&type=completed", [2]),
    ],
)
async def test_filters(port: int, world: World, query: str, expected: list[int]) -> None:
    happened = [
        record(0, lists=("inbox",)),
        record(1, lists=("quiet",)),
        record(2, kind="completed", chain="main", list="inbox", lists=("out",)),
        record(3, kind="halted", chain="silent", list="quiet"),
        record(4, kind="handed-out", chain="main", list="out"),
        record(5, lists=("elsewhere",)),
    ]
    async with listening(port, query) as heard:
        for one in happened:
            world.channel.tell(one)
        world.feed.close()
        seen = []
        while (event := await heard.event())[0] != "end":
            seen.append(int(event[1]["uuid"][1:]))
        assert seen == expected


async def test_what_cannot_be_listened_to(client: httpx.AsyncClient) -> None:
    refused = await client.get("/events?type=acepted")
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["query", "type"])
    many = await client.get("/events?list=" + "&list=".join("x" * 200))
    assert many.status_code == 422
    head = await client.head("/events")
    assert (head.status_code, head.headers["allow"]) == (405, "GET, OPTIONS")
    assert (await client.get("/events", headers={"x-conserver-api-token": "no"})).status_code == 403


async def test_the_number_of_listeners_is_limited(port: int, world: World) -> None:
    async with listening(port), listening(port):
        async with listening(port), httpx.AsyncClient(headers=KEY) as client:
            refused = await client.get(f"http://127.0.0.1:{port}{URL}")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
        async with asyncio.timeout(10):
            while world.feed.listeners > 2:
                await asyncio.sleep(0.01)
        async with listening(port):
            pass


async def test_a_client_that_leaves_ends_the_subscription(port: int, world: World) -> None:
    async with listening(port) as heard:
        world.channel.tell(record(1))
        await heard.event()
        assert len(world.channel.heard) == 1
    async with asyncio.timeout(10):
        while world.channel.heard:
            await asyncio.sleep(0.01)
    assert world.feed.listeners == 0


async def test_silence_is_broken_by_comments(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT", 0.05)
    async with listening(port) as heard:
        await heard.block()
        assert await heard.block() == await heard.block() == [": still here"]


async def test_a_slow_reader_is_dropped_and_told_and_others_are_not_slowed(
    port: int, world: World
) -> None:
    with connected(port, URL) as slow:
        async with listening(port) as quick:
            async with asyncio.timeout(10):
                while world.feed.listeners < 2:
                    await asyncio.sleep(0.01)
            for number in range(0, 5_000, 50):
                for one in range(number, number + 50):
                    world.channel.tell(record(one, error="x" * 300))
                for one in range(number, number + 50):
                    assert (await quick.event())[1]["uuid"] == f"u{one}"
        text = await asyncio.to_thread(read_to_the_end, slow)
    *events, last = [part for part in text.split("\n\n") if "event:" in part]
    assert "event: dropped" in last
    missed = json.loads(last.partition("data: ")[2].splitlines()[0])["missed"]
    assert 0 < missed < 5_000
    assert len(events) == 5_000 - missed
    assert '"u0"' in events[0]


async def test_a_reader_that_does_not_read_at_all_is_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LAST_WORDS", 0.1)
    async with served(build_asgi(world.services()), small_buffers) as port:
        with connected(port, URL):
            async with asyncio.timeout(10):
                while world.feed.listeners < 1:
                    await asyncio.sleep(0.01)
                for number in range(5_000):
                    world.channel.tell(record(number, error="x" * 300))
                    await asyncio.sleep(0)
                while world.feed.listeners:
                    await asyncio.sleep(0.01)
            assert not world.channel.heard


async def test_a_gap_is_told(port: int, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vconflow.pipeline.event_feed._PAUSE", 0.01)
    async with listening(port) as heard:
        await world.channel.break_off()
        assert (await heard.event())[0] == "gap"
        world.channel.tell(record(1))
        assert (await heard.event())[0] == "accepted"


async def test_streams_end_at_once_when_the_server_stops(world: World) -> None:
    async with asyncio.timeout(20), served(build_asgi(world.services()), small_buffers) as port:
        async with listening(port) as heard:
            world.feed.close()
            assert await heard.event() == ("end", {"reason": "stopping"})
            assert await heard.block() == []
        async with httpx.AsyncClient(headers=KEY) as client:
            refused = await client.get(f"http://127.0.0.1:{port}{URL}")
        assert refused.status_code == 503


def read_to_the_end(connection: socket.socket) -> str:
    connection.settimeout(20)
    received = b""
    while not received.endswith(b"0\r\n\r\n"):
        chunk = connection.recv(65536)
        assert chunk, "the connection was closed before the end of the stream"
        received += chunk
    body = received.partition(b"\r\n\r\n")[2]
    text = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        text, body = text + rest[:length], rest[length + 2 :]
    return text.decode()
