"""A vconflow process whose Redis dies, fills its disk or moves: the process goes on by itself."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from embedded_valkey import (
    AOF,
    FullDisk,
    free_folder,
    kill_server,
    redis_state,
    until_ready,
)
from loading import Sender, bulk, vcons
from vconflow_process import VconflowProcess, pop_all, vconflow

from vconflow.testing.sentinel import sentinel_site

CONFIG = {
    "links": {"wait": {"module": "links.delay", "options": {"seconds": 0.02}}},
    "chains": {"main": {"links": ["wait"], "ingress_lists": ["in"], "egress_lists": ["out"]}},
}
SLOW = CONFIG | {"links": {"wait": {"module": "links.delay", "options": {"seconds": 2}}}}


async def refused_well(reply: httpx.Response) -> None:
    if reply.status_code == 503 and reply.url.path != "/ready":
        assert int(reply.headers["retry-after"]) >= 1


@asynccontextmanager
async def client_of(process: VconflowProcess) -> AsyncIterator[httpx.AsyncClient]:
    hooks = {"response": [refused_well]}
    async with httpx.AsyncClient(base_url=process.url, timeout=60, event_hooks=hooks) as client:
        yield client


async def all_delivered(client: httpx.AsyncClient, sender: Sender) -> None:
    """Everything accepted is at egress; twice only what the client had to send twice."""
    delivered: Counter[str] = Counter()
    async with asyncio.timeout(60):
        while not sender.accepted <= delivered.keys() or await depth(client):
            delivered.update(await pop_all(client, "out", 1))
    assert delivered.keys() == sender.accepted
    assert delivered <= sender.sent


async def depth(client: httpx.AsyncClient) -> int:
    names = ("in", "out")
    replies = [await client.get("/stats/queue", params={"list_name": name}) for name in names]
    return sum(reply.json()["depth"] for reply in replies)


async def restarts(client: httpx.AsyncClient) -> int:
    text = (await client.get("/metrics")).text
    found = re.search(r"^vconflow_embedded_restarts_total (\S+)", text, re.MULTILINE)
    return int(float(found[1])) if found else 0


async def test_a_killed_embedded_valkey_is_started_again_under_load(
    tmp_path: Path, shared_data: Path
) -> None:
    documents = vcons(shared_data, 400)
    chance = random.Random(20_250_321)
    async with vconflow(tmp_path, CONFIG) as process, client_of(process) as client:
        sender = Sender(client)
        sending = asyncio.create_task(sender.post_all(documents))
        for kills in range(1, 5):
            await asyncio.sleep(chance.uniform(0.05, 0.3))
            kill_server(process)
            async with asyncio.timeout(30):
                while await restarts(client) < kills:
                    await asyncio.sleep(0.01)
            await until_ready(client)
        await sending
        await all_delivered(client, sender)
        assert sender.accepted == documents.keys()
        assert await process.terminate() == 0
    log = process.log.read_text()
    assert log.count("valkey_ended") == 4
    assert "SIGKILL" in log


async def test_a_full_disk_that_is_freed_again(tmp_path: Path, shared_data: Path) -> None:
    before, after = vcons(shared_data, 300), {}
    reason = "the embedded Valkey ended (exit code 1) and is started again"
    async with vconflow(tmp_path, CONFIG) as process, client_of(process) as client:
        # So much that the log of vconflow stays shorter than the append-only file.
        sender = Sender(client)
        await sender.post_all(before)
        disk = FullDisk(process, tmp_path)
        disk.fill()
        after = {uuid.replace("-8000-", "-8001-"): body.replace(b"-8000-", b"-8001-")
                 for uuid, body in list(before.items())[:20]}  # fmt: skip
        sending = asyncio.create_task(sender.post_all(after))
        async with asyncio.timeout(60):
            # It starts again, and ends again with the next write.
            while await restarts(client) < 2:
                await asyncio.sleep(0.05)
            while reason not in (state := await redis_state(client))[1]:
                await asyncio.sleep(0.01)
        assert state[0] == 503
        disk.free()
        kill_server(process)  # its limit may be that of the life before
        await sending
        await all_delivered(client, sender)
        assert sender.accepted == before.keys() | after.keys()
        assert await process.terminate() == 0
    assert "AOF" in process.log.read_text()


async def test_no_orphan_when_vconflow_is_killed_while_valkey_is_started_again(
    tmp_path: Path, shared_data: Path
) -> None:
    documents = vcons(shared_data, 30)
    for delay in (0.0, 0.1, 0.14):
        async with vconflow(tmp_path, CONFIG) as process:
            await bulk(process.url, documents)
            kill_server(process)
            await asyncio.sleep(delay)
            await process.die()
        await free_folder(tmp_path)
    async with vconflow(tmp_path, CONFIG) as process, client_of(process) as client:
        delivered = Counter(await pop_all(client, "out", 90))
        assert delivered == Counter(dict.fromkeys(documents, 3))


async def test_it_stops_while_valkey_does_not_start_and_loses_nothing(
    tmp_path: Path, shared_data: Path
) -> None:
    documents = vcons(shared_data, 30)
    kept, away = tmp_path / "data" / "valkey" / AOF, tmp_path / "away"
    async with vconflow(tmp_path, SLOW, VCONFLOW_GRACE_SECONDS="1") as process:
        await bulk(process.url, documents)
        kept.rename(away)
        kept.touch()
        kill_server(process)
        async with client_of(process) as client:
            async with asyncio.timeout(30):
                while await restarts(client) < 2:
                    await asyncio.sleep(0.01)
            assert (await redis_state(client))[0] == 503
        async with asyncio.timeout(20):
            assert await process.terminate() == 0
    await free_folder(tmp_path)
    kept.unlink()
    away.rename(kept)
    async with vconflow(tmp_path, CONFIG) as process, client_of(process) as client:
        assert Counter(await pop_all(client, "out", 30)) == Counter(documents.keys())


async def test_a_failover_by_sentinel(tmp_path: Path, shared_data: Path) -> None:
    first, second = vcons(shared_data, 50), {}
    second = {uuid.replace("-8000-", "-8001-"): body.replace(b"-8000-", b"-8001-")
              for uuid, body in first.items()}  # fmt: skip
    async with sentinel_site(tmp_path, password="s3cret:@/?") as redis:
        lease = {"VCONFLOW_LEASE_SECONDS": "2"}
        async with (
            vconflow(tmp_path, SLOW, REDIS_URL=redis.url, **lease) as process,
            client_of(process) as client,
        ):
            sender = Sender(client)
            await sender.post_all(first)
            await redis.in_sync()
            old = await redis.master()
            old.kill()
            sending = asyncio.create_task(sender.post_all(second))
            await redis.switched_from(old)
            await sending
            await all_delivered(client, sender)
            assert sender.accepted == first.keys() | second.keys()
            assert await process.terminate() == 0
        log = process.log.read_text()
        assert "redis_lost" in log
        assert "s3cret" not in log
