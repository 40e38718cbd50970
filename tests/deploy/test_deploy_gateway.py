"""Clients at the gateway notice nothing of replicas that come and go."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from gateway import Gateway, gateway
from vconflow_process import VconflowProcess, launched

from vconflow.testing.servers import free_port

CONFIG = {"chains": {"main": {"ingress_lists": ["main"], "egress_lists": ["done"]}}}
ADDRESSES = ("127.0.0.1", "127.0.0.2")
JSON = {"content-type": "application/json"}


@pytest.fixture
async def replicas(tmp_path: Path, valkey_url: str) -> AsyncIterator[list[VconflowProcess]]:
    """Two, at the same port of different addresses, as containers are."""
    port = free_port()
    async with AsyncExitStack() as stack:
        processes = []
        for name, host in zip(("one", "two"), ADDRESSES, strict=True):
            variables = {"REDIS_URL": valkey_url, "VCONFLOW_HOST": host}
            replica = launched(tmp_path / name, CONFIG, name, port, **variables)
            processes.append(await stack.enter_async_context(replica))
        await asyncio.gather(*(process.ready() for process in processes))
        yield processes


@pytest.fixture
async def nginx(tmp_path: Path, replicas: list[VconflowProcess]) -> AsyncIterator[Gateway]:
    port = int(replicas[0].url.rsplit(":", 1)[1])
    async with gateway(tmp_path / "nginx", ADDRESSES, port) as server:
        yield server


async def post(client: httpx.AsyncClient, numbers: range) -> None:
    for number in numbers:
        uuid = f"019d1000-0000-8000-8000-{number:012}"
        document = json.dumps({"uuid": uuid, "created_at": "2026-03-22T10:00:00Z"})
        reply = await client.post("/vcon?ingress_lists=main", content=document, headers=JSON)
        assert reply.status_code == 201, reply.text


async def accepted(replica: VconflowProcess) -> float:
    async with httpx.AsyncClient(base_url=replica.url) as client:
        text = (await client.get("/metrics")).text
    found = re.findall(r"(?m)^vconflow_accepted_total\{.*\} (\S+)$", text)
    return sum(map(float, found))


async def test_clients_reach_all_replicas_and_notice_nothing_of_one_that_dies(
    replicas: list[VconflowProcess], nginx: Gateway
) -> None:
    async with httpx.AsyncClient(base_url=nginx.url) as client:
        await post(client, range(20))
        counts = [await accepted(replica) for replica in replicas]
        assert sum(counts) == 20
        assert min(counts) > 0
        await check_events(client)
        await check_metrics(client)
        await check_bulk(client)
        counts = [await accepted(replica) for replica in replicas]
        await replicas[0].die()
        await post(client, range(20, 40))
        assert await accepted(replicas[1]) == counts[1] + 20


async def check_events(client: httpx.AsyncClient) -> None:
    """They come while they happen."""
    wanted = {"type": "accepted"}
    async with asyncio.timeout(30), client.stream("GET", "/events", params=wanted) as stream:
        assert stream.status_code == 200
        await post(client, range(100, 101))
        async for line in stream.aiter_lines():
            if line == "event: accepted":
                break


async def check_bulk(client: httpx.AsyncClient) -> None:
    """More than a single vCon may have, as it comes."""
    line = {"uuid": "019d1000-0000-8000-8000-000000000000", "created_at": "2026-03-22T10:00:00Z"}
    text = json.dumps(line | {"subject": "x" * 1_000_000}).encode() + b"\n"

    async def lines() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield text

    headers = {"content-type": "application/x-ndjson"}
    reply = await client.post("/vcons", content=lines(), headers=headers, timeout=60)
    assert (reply.status_code, reply.json()["accepted"]) == (200, 40), reply.text


async def check_metrics(client: httpx.AsyncClient) -> None:
    """They are for Prometheus only."""
    for path in ("/metrics", "/api/metrics", "/metrics/", "/api/metrics/"):
        assert (await client.get(path)).status_code == 404
    assert (await client.get("/api/health")).status_code == 200
