"""Storages and webhooks that go away for a while: everything waits, and nothing dies of it."""

import asyncio
import itertools
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from loading import Sender, vcons
from redis_view import until
from vconflow_process import pop_all, vconflow

from vconflow.testing import servers
from vconflow.testing.webhook_receiver import Received, Reply, webhook_receiver

OUTAGE = 30.0


async def dependency(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    """What /ready says of one dependency; empty when it does not mention it."""
    reply = await client.get("/ready")
    assert reply.status_code == 200
    found = {item["name"]: item for item in reply.json()["dependencies"]}
    return found.get(name, {})


async def breaker_of(client: httpx.AsyncClient, name: str) -> str | None:
    lines = (await client.get("/metrics")).text.splitlines()
    prefix = f'vconflow_breaker_open{{name="{name}"}} '
    return next((line.removeprefix(prefix) for line in lines if line.startswith(prefix)), None)


async def dead(client: httpx.AsyncClient) -> list[str]:
    reply = await client.get("/dlq", params={"ingress_list": "in"})
    reply.raise_for_status()
    found: list[str] = reply.json()
    return found


def chain(**members: Any) -> dict[str, Any]:
    return {"main": {"ingress_lists": ["in"], "egress_lists": ["out"], **members}}


async def test_postgres_is_away_for_30_seconds(tmp_path: Path, shared_data: Path) -> None:
    """The file storage goes on, Postgres catches up: no dead letter, no row twice."""
    documents = vcons(shared_data, 400)
    files = tmp_path / "files"
    async with servers.postgres() as postgres:
        config = {
            "storages": {
                "pg": {"module": "storage.postgres", "options": {"dsn": postgres.url}},
                "file": {"module": "storage.file", "options": {"path": str(files)}},
            },
            "chains": chain(storages=["pg", "file"]),
        }

        async def in_files() -> set[str]:
            return {path.stem for path in files.rglob("*.json")}

        async with (
            vconflow(tmp_path, config) as process,
            httpx.AsyncClient(base_url=process.url, timeout=30) as client,
        ):
            sender = Sender(client)
            first, later = dict([*documents.items()][:100]), dict([*documents.items()][100:])
            await sender.post_all(first)
            posting = asyncio.create_task(sender.post_all(later, parallel=4))
            await postgres.stop()
            stopped = time.monotonic()
            await posting

            async def all_in_files() -> bool:
                return await in_files() == documents.keys()

            await until(all_in_files, 120)
            assert (await dependency(client, "storage:pg"))["ok"] is False
            assert "waits" in (await dependency(client, "storage:pg"))["error"]
            assert await breaker_of(client, "storage:pg") == "1.0"
            assert await breaker_of(client, "storage:file") == "0.0"
            await asyncio.sleep(max(0.0, OUTAGE - (time.monotonic() - stopped)))
            assert await dead(client) == []

            await postgres.start()
            popped = Counter(await pop_all(client, "out", len(documents)))
            assert popped == Counter(documents.keys())
            assert sender.sent == popped
            assert await breaker_of(client, "storage:pg") == "0.0"
            assert (await dependency(client, "storage:pg"))["ok"] is True
            assert await dead(client) == []
        connection = await asyncpg.connect(postgres.url)
        rows = await connection.fetch("SELECT uuid::text FROM vcons")
        await connection.close()
    assert Counter(row["uuid"] for row in rows) == Counter(documents.keys())


FAULTS = {
    "500": Reply(500),
    "hang": Reply(fault="hang"),
    "reset": Reply(fault="reset"),
    "429": Reply(429, {"Retry-After": "1"}),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_webhook_that_is_out_of_order(
    tmp_path: Path, shared_data: Path, fault: str
) -> None:
    """It is left alone until it is back, then gets everything."""
    documents = vcons(shared_data, 60)
    calls: dict[str, list[float]] = defaultdict(list)
    broken = True

    def decide(received: Received) -> Reply:
        calls[received.headers["idempotency-key"]].append(time.monotonic())
        return FAULTS[fault] if broken else Reply()

    with webhook_receiver(decide) as receiver:
        hook = {"module": "links.webhook", "options": {"webhook-urls": [receiver.url]}}
        config = {
            "links": {
                "hook": {
                    **hook,
                    "timeout": 0.5 if fault == "hang" else 20,
                    "retry": {"base": 0.05, "max": 0.2},
                }
            },
            "chains": chain(links=["hook"], concurrency=20),
        }
        async with (
            vconflow(tmp_path, config, VCONFLOW_PROBE_SECONDS="0.5") as process,
            httpx.AsyncClient(base_url=process.url, timeout=30) as client,
        ):
            sender = Sender(client)
            await sender.post_all(documents)

            async def is_open() -> bool:
                return await breaker_of(client, "link:hook") == "1.0"

            await until(is_open, 120)
            assert (await dependency(client, "link:hook"))["ok"] is False
            # Long enough for all attempts of all of them, if they were made.
            await asyncio.sleep(3)
            assert len(calls) < len(documents)
            broken = False
            receiver.release()
            popped = Counter(await pop_all(client, "out", len(documents)))
            assert popped == Counter(documents.keys()) == sender.sent
            assert await dead(client) == []
            assert not await is_open()
            assert await dependency(client, "link:hook") == {}
    assert len(calls) == len(documents)
    if fault == "429":
        pauses = [b - a for times in calls.values() for a, b in itertools.pairwise(times)]
        assert pauses
        assert min(pauses) >= 1.0
