"""All sample conversations through a real process: links, storages, egress, and back."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest
import redis
from vconflow_process import VconflowProcess, pop_all, vconflow

from vconflow.model.vcon import Vcon
from vconflow.testing.servers import RedisServer
from vconflow.testing.webhook_receiver import Reply, WebhookReceiver, webhook_receiver

JSON = {"content-type": "application/json"}
TOKEN = {"x-conserver-api-token": "sesame"}


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as receiver:
        receiver.default = Reply(fault="hang")
        yield receiver


@pytest.fixture
def documents(shared_data: Path) -> dict[str, bytes]:
    lines = (shared_data / "conversations.ndjson").read_bytes().splitlines()
    return {json.loads(line)["uuid"]: line for line in lines if line.strip()}


def config_of(receiver: WebhookReceiver, folder: Path, dsn: str) -> dict[str, object]:
    return {
        "links": {
            "tag": {"module": "links.tag", "options": {"tags": ["reviewed"]}},
            "hook": {"module": "links.webhook", "options": {"webhook-urls": [f"{receiver.url}/"]}},
        },
        "storages": {
            "postgres": {"module": "storage.postgres", "options": {"dsn": dsn}},
            "file": {"module": "storage.file", "options": {"path": str(folder / "files")}},
        },
        "chains": {
            "main": {
                "links": ["tag", "hook"],
                "ingress_lists": ["in"],
                "storages": ["postgres", "file"],
                "egress_lists": ["out"],
                "enabled": 1,
                "concurrency": 500,
            }
        },
    }


@pytest.fixture(params=["embedded", "redis70"])
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    """The process with its own Valkey, and with a Redis of the oldest version we support."""
    environment = {"CONSERVER_API_TOKEN": "sesame", "VCON_REDIS_EXPIRY": "1"}
    if request.param == "redis70":
        server: RedisServer = request.getfixturevalue("redis70_server")
        environment["REDIS_URL"] = server.url
        with redis.Redis.from_url(server.url) as client:
            client.flushall()
    return environment


async def test_every_conversation_arrives_everywhere(
    environment: dict[str, str],
    tmp_path: Path,
    documents: dict[str, bytes],
    receiver: WebhookReceiver,
    postgres_dsn: str,
) -> None:
    config = config_of(receiver, tmp_path, postgres_dsn)
    async with vconflow(tmp_path, config, **environment) as process:
        async with httpx.AsyncClient(base_url=process.url, headers=TOKEN, timeout=30) as client:
            await submit(client, documents)
            await check_untouched(client, documents)
            receiver.release()
            popped = await pop_all(client, "out", len(documents))
            await check_egress(client, popped, documents)
            expected = {uuid: tagged(document) for uuid, document in documents.items()}
            assert {Vcon(r.body).uuid: r.body for r in receiver.received} == expected
            assert len(receiver.received) == len(documents)
            assert stored_files(tmp_path / "files") == expected
            assert await stored_rows(postgres_dsn) == expected
            await check_search(client, documents)
            await check_expired(client, process, tmp_path, environment, expected)
        assert await process.terminate() == 0
    assert '"level": "error"' not in process.log.read_text()


async def submit(client: httpx.AsyncClient, documents: dict[str, bytes]) -> None:
    async def post(uuid: str, document: bytes) -> None:
        reply = await client.post(
            "/vcon", params={"ingress_lists": "in"}, content=document, headers=JSON
        )
        assert reply.status_code == 201, (uuid, reply.text)
        assert reply.content == document

    await asyncio.gather(*(post(uuid, document) for uuid, document in documents.items()))


async def check_untouched(client: httpx.AsyncClient, documents: dict[str, bytes]) -> None:
    """No webhook has answered yet, so no chain is through."""
    for uuid, document in documents.items():
        assert (await client.get(f"/api/vcon/{uuid}")).content == document


async def check_egress(
    client: httpx.AsyncClient, popped: list[str], documents: dict[str, bytes]
) -> None:
    assert sorted(popped) == sorted(documents)
    again = await client.get("/vcon/egress", params={"egress_list": "out", "limit": 100})
    assert again.json() == []


def tagged(document: bytes) -> bytes:
    vcon = Vcon(document)
    vcon.add_tag("reviewed", "reviewed")
    return vcon.to_bytes()


def stored_files(folder: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in folder.glob("[0-9]*/[0-9]*/[0-9]*/*.json")}


async def stored_rows(dsn: str) -> dict[str, bytes]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT id, document, vcon_json FROM vcons")
    finally:
        await connection.close()
    for row in rows:
        assert json.loads(row["vcon_json"]) == json.loads(row["document"])
    return {str(row["id"]): row["document"] for row in rows}


async def check_search(client: httpx.AsyncClient, documents: dict[str, bytes]) -> None:
    """What search finds is what reading all documents finds."""
    expected: dict[tuple[str, str], set[str]] = {}
    for uuid, document in documents.items():
        for party in json.loads(document)["parties"]:
            for member in ("tel", "mailto", "name"):
                if party.get(member):
                    expected.setdefault((member, party[member]), set()).add(uuid)
    for (member, value), uuids in list(expected.items())[::7]:
        found = (await client.get("/vcons/search", params={member: value})).json()
        assert (set(found), len(found)) == (uuids, len(uuids)), (member, value)
    party = json.loads(next(iter(documents.values())))["parties"][1]
    both = await client.get(
        "/vcons/search", params={"tel": party["tel"], "mailto": party["mailto"]}
    )
    assert set(both.json()) == (expected["tel", party["tel"]] & expected["mailto", party["mailto"]])
    assert (await client.get("/vcons/search", params={"name": "nobody"})).json() == []


async def check_expired(
    client: httpx.AsyncClient,
    process: VconflowProcess,
    folder: Path,
    environment: dict[str, str],
    expected: dict[str, bytes],
) -> None:
    """After a second Redis holds no document any more, and GET still gives the very bytes."""
    url = environment.get("REDIS_URL") or f"unix://{folder}/data/valkey/valkey.sock"
    with redis.Redis.from_url(url) as server:
        async with asyncio.timeout(20):
            while any(server.scan_iter("vcon:*", count=1000)):
                await asyncio.sleep(0.1)
    for uuid, document in expected.items():
        reply = await client.get(f"/vcon/{uuid}")
        assert (reply.status_code, reply.content) == (200, document)
    many = await client.get("/vcons", params={"vcon_uuids": list(expected)[:50]})
    assert [item["uuid"] for item in many.json()] == list(expected)[:50]
