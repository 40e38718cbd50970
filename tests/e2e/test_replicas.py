"""Several processes on one Redis."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import httpx
import redis
from vconflow_process import pop_all, vconflow

from vconflow.testing.webhook_receiver import Reply, webhook_receiver

COUNT = 1000


def documents_from(folder: Path) -> list[bytes]:
    """A thousand vCons with uuids of their own."""
    lines = (folder / "conversations.ndjson").read_bytes().splitlines()
    found = []
    for number in range(COUNT):
        document = json.loads(lines[number % len(lines)])
        document["uuid"] = f"00000000-0000-4000-8000-{number:012}"
        found.append(json.dumps(document).encode())
    return found


async def test_two_replicas_share_the_work(
    tmp_path: Path, shared_data: Path, redis_url: str
) -> None:
    documents = documents_from(shared_data)
    with webhook_receiver() as receiver:
        # Work that takes a while, as real links do, so that it is worth sharing.
        receiver.default = Reply(delay=0.02)

        def config(name: str) -> dict[str, object]:
            hook = {"webhook-urls": [f"{receiver.url}/{name}"]}
            return {
                "links": {"hook": {"module": "links.webhook", "options": hook}},
                "chains": {
                    "main": {
                        "links": ["hook"],
                        "ingress_lists": ["in"],
                        "egress_lists": ["out"],
                        "enabled": True,
                        "concurrency": 16,
                    }
                },
            }

        async with (
            vconflow(tmp_path, config("one"), "one", REDIS_URL=redis_url) as one,
            vconflow(tmp_path, config("two"), "two", REDIS_URL=redis_url) as two,
            httpx.AsyncClient(base_url=one.url, timeout=30) as client,
        ):
            body = b"\n".join(documents)
            reply = await client.post(
                "/vcons",
                params={"ingress_lists": "in"},
                content=body,
                headers={"content-type": "application/x-ndjson"},
            )
            assert reply.json() == {"accepted": COUNT, "rejected_count": 0, "rejected": []}
            popped = await pop_all(client, "out", COUNT)
            assert (await one.terminate(), await two.terminate()) == (0, 0)
        assert Counter(popped) == Counter(json.loads(item)["uuid"] for item in documents)
        done = Counter(received.path for received in receiver.received)
        assert sum(done.values()) == COUNT
        assert min(done["/one"], done["/two"]) >= COUNT / 4


async def test_a_killed_replica_loses_nothing(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    """kill -9 in the middle, then a second start: everything that got a 2xx arrives."""
    documents = documents_from(shared_data)[:300]
    with webhook_receiver() as receiver:
        receiver.default = Reply(fault="hang")
        config = {
            "links": {
                "hook": {"module": "links.webhook", "options": {"webhook-urls": [receiver.url]}}
            },
            "storages": {
                "file": {"module": "storage.file", "options": {"path": str(tmp_path / "f")}}
            },
            "chains": {
                "main": {
                    "links": ["hook"],
                    "ingress_lists": ["in"],
                    "storages": ["file"],
                    "egress_lists": ["out"],
                    "concurrency": 200,
                }
            },
        }
        environment = {"REDIS_URL": valkey_url, "VCONFLOW_LEASE_SECONDS": "1"}
        accepted: list[str] = []

        async def post(client: httpx.AsyncClient, document: bytes) -> None:
            reply = await client.post(
                "/vcon",
                params={"ingress_lists": "in"},
                content=document,
                headers={"content-type": "application/json"},
            )
            if reply.status_code == 201:
                accepted.append(json.loads(document)["uuid"])

        async with vconflow(tmp_path, config, **environment) as process:
            async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
                posts = [asyncio.create_task(post(client, item)) for item in documents]
                while len(receiver.received) < 100 or len(accepted) < 150:
                    await asyncio.sleep(0.005)
                with redis.Redis.from_url(valkey_url) as server:
                    pending = server.xpending("vconflow:list:in", "vconflow")["pending"]
                assert pending >= 100
                process.kill()
                await asyncio.gather(*posts, return_exceptions=True)
            await process.process.wait()
        receiver.release()
        async with (
            vconflow(tmp_path, config, **environment) as process,
            httpx.AsyncClient(base_url=process.url, timeout=30) as client,
        ):
            popped = await pop_all(client, "out", len(accepted))
            missing = set(accepted) - set(popped)
            assert not missing
            dead = await client.get("/dlq", params={"ingress_list": "in"})
            assert dead.json() == []
        stored = {path.stem for path in (tmp_path / "f").rglob("*.json")}
        assert set(accepted) <= stored
