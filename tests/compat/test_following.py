"""Pulling from other servers, in real processes that are killed at the worst moments."""

import asyncio
import json
import random
import threading
from pathlib import Path
from typing import Any

import httpx
import redis
from following_support import PATIENT, follower_ready, kept, metrics, popped_once, puller
from loading import bulk, vcons
from redis_view import redis_view, until
from reference_conserver import TOKEN, Answer, reference_conserver
from vconflow_process import vconflow

COUNT = 150
KILLS = 3
SEED = 20_260_322


class Stuck:
    """Answers so many vCons, and nothing more until it lets go: nothing is popped meanwhile."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._lock = threading.Lock()
        self._over = threading.Event()
        self.reached = threading.Event()

    def __call__(self, path: str) -> None:
        if "egress" in path:
            return
        with self._lock:
            self._left -= 1
            is_stuck = self._left < 0
        if is_stuck:
            self.reached.set()
            self._over.wait(60)

    def let_go(self) -> None:
        self._over.set()


async def test_kills_between_pop_and_store_lose_nothing(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    """The other side pops for good: what it has answered is in our hands alone."""
    documents = vcons(shared_data, COUNT)
    rng = random.Random(SEED)
    with reference_conserver() as conserver:
        conserver.offer("theirs", documents)
        config = puller(tmp_path, conserver.url)
        for _ in range(KILLS):
            conserver.decide = stuck = Stuck(rng.randint(1, 40))
            async with vconflow(tmp_path, config, REDIS_URL=valkey_url, **PATIENT) as process:
                await until(stuck.reached.is_set)
                await process.die()  # in the middle of fetching what was popped
            stuck.let_go()
        assert len(conserver.popped) < COUNT, "all was over before the last kill"
        conserver.decide = lambda path: None
        async with vconflow(tmp_path, config, REDIS_URL=valkey_url) as process:
            await popped_once(process, documents)
            assert (await metrics(process))['vconflow_follower_waiting{follower="upstream"}'] == 0
    assert kept(tmp_path) == documents
    assert TOKEN not in process.log.read_text()


async def test_kills_at_any_moment_while_pulling_from_a_vconflow(
    tmp_path: Path, shared_data: Path, valkey_url: str, redis70_server: Any
) -> None:
    """Here nothing leaves the other side before it is safe: any moment will do, of either."""
    documents = vcons(shared_data, COUNT)
    with redis.Redis.from_url(redis70_server.url) as client:
        client.flushall()
    rng = random.Random(SEED)
    theirs = {"chains": {"main": {"ingress_lists": ["in"], "egress_lists": ["theirs"]}}}
    async with vconflow(
        tmp_path / "theirs", theirs, REDIS_URL=redis70_server.url, CONSERVER_API_TOKEN=TOKEN
    ) as other:
        async with httpx.AsyncClient(
            base_url=other.url, timeout=60, headers={"x-conserver-api-token": TOKEN}
        ) as client:
            reply = await client.post(
                "/vcons",
                params={"ingress_lists": "in"},
                content=b"\n".join(documents.values()),
                headers={"content-type": "application/x-ndjson"},
            )
            assert reply.json()["accepted"] == COUNT
        config = puller(tmp_path, other.url, limit=30)
        for _ in range(KILLS):
            async with vconflow(tmp_path, config, REDIS_URL=valkey_url, **PATIENT) as process:
                await asyncio.sleep(rng.uniform(0.0, 0.15))
                await process.die()
        async with vconflow(tmp_path, config, REDIS_URL=valkey_url) as process:
            await popped_once(process, documents)
        assert kept(tmp_path) == documents
        with redis_view(redis70_server.url) as view:
            assert view.length("theirs") == 0, "pulled without being acknowledged"


async def test_another_replica_goes_on_after_a_crash(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    documents = vcons(shared_data, 100)
    stuck = list(documents)[50]
    quick = {"REDIS_URL": valkey_url, "VCONFLOW_LEASE_SECONDS": "2", **PATIENT}
    with reference_conserver() as conserver:
        conserver.offer("theirs", documents)
        conserver.decide = lambda path: Answer(503, delay=5) if path.endswith(stuck) else None
        config = puller(tmp_path, conserver.url)
        async with vconflow(tmp_path, config, name="one", **quick) as one:
            await until(lambda: len(kept(tmp_path)) == 59)  # 60 were pulled
            async with vconflow(tmp_path, config, name="two", **quick) as two:
                assert await follower_ready(one) == ""
                assert await follower_ready(two) is None, "both follow"
                await one.die()
                conserver.decide = lambda path: None
                await popped_once(two, documents)
    assert kept(tmp_path) == documents


async def test_a_stop_drains_and_another_start_goes_on(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    documents = vcons(shared_data, 200)
    with reference_conserver() as conserver:
        conserver.offer("theirs", documents)
        config = puller(tmp_path, conserver.url)
        for _ in range(2):
            before = len(conserver.popped)
            async with vconflow(tmp_path, config, REDIS_URL=valkey_url) as process:
                await until(lambda before=before: len(conserver.popped) > before)
                assert await process.terminate() == 0
        async with vconflow(tmp_path, config, REDIS_URL=valkey_url) as process:
            await popped_once(process, documents)
    assert kept(tmp_path) == documents


async def test_a_reference_follower_pulls_from_us(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    """Its very requests: the list in the URL unquoted, a content type on a GET."""
    documents = vcons(shared_data, 50)
    config = {"chains": {"main": {"ingress_lists": ["in"], "egress_lists": ["theirs"]}}}
    headers = {
        "User-Agent": "python-requests/2.31.0",
        "Accept-Encoding": "gzip, deflate",
        "Accept": "*/*",
        "Connection": "keep-alive",
        "Content-Type": "application/json",
    }
    pulled: dict[str, Any] = {}
    async with vconflow(tmp_path, config, REDIS_URL=valkey_url) as process:
        await bulk(process.url, documents)
        async with httpx.AsyncClient(headers=headers) as client, asyncio.timeout(30):
            while len(pulled) < len(documents):
                url = f"{process.url}/api/vcon/egress?egress_list=theirs&limit=7"
                for uuid in (await client.get(url)).json():
                    reply = await client.get(f"{process.url}/api/vcon/{uuid}")
                    assert reply.status_code != 404
                    pulled[uuid] = reply.json()
    assert pulled == {uuid: json.loads(body) for uuid, body in documents.items()}
