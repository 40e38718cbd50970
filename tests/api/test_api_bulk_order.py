"""Bulk loads: of the lines of one vCon the last one stays, whatever holds up another."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest
from api_doubles import World, make_vcon

from vconflow.adapters.redis.backend import RedisBackend, RedisOptions, open_backend
from vconflow.model.identifiers import new_uuid
from vconflow.pipeline import ingest as ingest_module
from vconflow.pipeline.chain import Chain, Chains
from vconflow.pipeline.ingest import Ingest
from vconflow.ports.intake import Acceptance, Receipt

THREAD = 400_000
"""Bytes of a line that is validated, and digested, in a thread."""


@pytest.fixture
async def backend(valkey_url: str) -> AsyncIterator[RedisBackend]:
    async with open_backend(valkey_url, RedisOptions(replica="one")) as backend:
        yield backend


@pytest.fixture
def opened() -> asyncio.Event:
    """Redis is waited for until it is set."""
    opened = asyncio.Event()
    opened.set()
    return opened


@pytest.fixture
def room() -> int:
    """Bytes that may wait to be written."""
    return 10_000_000


@pytest.fixture
async def ingest(
    backend: RedisBackend,
    world: World,
    opened: asyncio.Event,
    room: int,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Ingest]:
    """The way in of the application, into a real Redis."""
    accept = backend.intake.accept

    async def accept_once_open(batch: Sequence[Acceptance]) -> list[Receipt | Exception]:
        await opened.wait()
        return await accept(batch)

    monkeypatch.setattr(backend.intake, "accept", accept_once_open)
    monkeypatch.setattr(ingest_module, "_MAX_WAITING_BYTES", room)
    chains = Chains({"main": Chain("main", lists=("inbox",))})
    # Nobody looks anything up here.
    ingest = Ingest(backend.intake, None, lambda: chains)  # type: ignore[arg-type]
    monkeypatch.setattr(world.core, "accept", ingest.accept)
    monkeypatch.setattr(world.core, "submit", ingest.submit)
    yield ingest
    await ingest.drain()


def line(uuid: str, subject: str, size: int = 0) -> bytes:
    return json.dumps(json.loads(make_vcon(uuid, subject=subject, filler="x" * size))).encode()


async def load(client: httpx.AsyncClient, *lines: bytes, **headers: str) -> int:
    response = await client.post(
        "/vcons?ingress_lists=inbox",
        content=b"\n".join(lines),
        headers={"content-type": "application/x-ndjson", **headers},
    )
    assert response.status_code == 200
    return int(response.json()["accepted"])


async def subject(backend: RedisBackend, uuid: str) -> str:
    (found,) = await backend.documents.fetch([uuid])
    assert found.document is not None
    return str(json.loads(found.document)["subject"])


@pytest.mark.parametrize("key", ["", "load"])
@pytest.mark.parametrize("size", [1_000, THREAD])
async def test_a_line_that_takes_long_to_validate_is_not_overtaken(
    client: httpx.AsyncClient, ingest: Ingest, backend: RedisBackend, size: int, key: str
) -> None:
    uuid = new_uuid()
    headers = {"idempotency-key": key} if key else {}
    lines = line(uuid, "older", size), line(uuid, "newer")
    assert await load(client, *lines, **headers) == 2
    assert await subject(backend, uuid) == "newer"


@pytest.mark.parametrize("room", [50_000])
async def test_a_line_that_finds_no_room_is_not_overtaken(
    client: httpx.AsyncClient, ingest: Ingest, backend: RedisBackend, opened: asyncio.Event
) -> None:
    opened.clear()
    under_way = asyncio.create_task(ingest.accept(make_vcon()))
    await asyncio.sleep(0.01)
    waiting = asyncio.create_task(ingest.accept(make_vcon()))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.02, opened.set)
    uuid = new_uuid()
    # There would be room for the second line.
    assert await load(client, line(uuid, "older", 60_000), line(uuid, "newer")) == 2
    assert await subject(backend, uuid) == "newer"
    await asyncio.gather(under_way, waiting)


async def test_entries_stand_in_the_order_of_the_lines(
    client: httpx.AsyncClient, ingest: Ingest, backend: RedisBackend
) -> None:
    """Also behind a vCon that was there with other parties, which takes two steps."""
    uuids = [new_uuid() for _ in range(10)]
    for uuid in (uuids[0], uuids[4]):
        await ingest.accept(make_vcon(uuid, parties=[{"tel": "+1999"}]))
    sizes = {2: THREAD, 5: THREAD}
    lines = [line(uuid, "", sizes.get(place, 0)) for place, uuid in enumerate(uuids)]
    assert await load(client, *lines) == 10
    entries = await backend.egress.lease("inbox", 100)
    assert [entry.uuid for entry in entries] == uuids
