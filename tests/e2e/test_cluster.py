"""Processes on a Redis Cluster that are killed: nothing is lost, each is at egress once."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import redis
from loading import Sender, bulk, vcons
from redis.crc import key_slot
from redis_view import RedisView, ShardedView, until
from vconflow_process import VconflowProcess, pop_all, vconflow

from vconflow.testing.servers import RedisCluster, free_port

SHARDS = 16
"""What a cluster has unless something else is set."""

KILLS = 3
COUNT = 320
IN_FLIGHT = 100
LEASE = 2.0


def config_of(folder: Path, seconds: float) -> dict[str, Any]:
    return {
        "links": {"wait": {"module": "links.delay", "options": {"seconds": seconds}}},
        "storages": {
            "file": {"module": "storage.file", "options": {"path": str(folder / "files")}}
        },
        "chains": {
            "main": {
                "links": ["wait"],
                "ingress_lists": ["in"],
                "storages": ["file"],
                "egress_lists": ["out"],
                "concurrency": 200,
            }
        },
    }


@contextmanager
def cluster_view(cluster: RedisCluster) -> Iterator[ShardedView]:
    """A view of all shards; the masters are those of the start."""
    bounds = [16384 * number // 3 for number in range(1, 4)]
    with ExitStack() as stack:
        clients = [stack.enter_context(redis.Redis.from_url(it.url)) for it in cluster.nodes[:3]]
        views = []
        for number in range(SHARDS):
            slot = key_slot(f"s{number}".encode())
            client = next(it for it, end in zip(clients, bounds, strict=True) if slot < end)
            views.append(RedisView(client, f"{{s{number}}}"))
        yield ShardedView(views)


@asynccontextmanager
async def asking(process: VconflowProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
        yield client


async def test_kills_of_the_only_replica(
    tmp_path: Path, shared_data: Path, cluster_server: RedisCluster, cluster_url: str
) -> None:
    rng = random.Random(20_251_129)
    documents, port = vcons(shared_data, COUNT), free_port()
    environment = {"REDIS_URL": cluster_url, "VCONFLOW_POISON_CRASHES": "20"}
    config, under_way = config_of(tmp_path, 3.0), []
    with cluster_view(cluster_server) as view:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            sender = Sender(client)
            async with vconflow(tmp_path, config, port=port, **environment) as process:
                posting = asyncio.create_task(sender.post_all(documents, parallel=48))
                await until(lambda: view.pending_count("in") >= IN_FLIGHT)
                await process.die()
                under_way.append(view.pending_count("in"))
            for _ in range(KILLS - 1):
                async with vconflow(tmp_path, config, port=port, **environment) as process:
                    await until(lambda: view.pending_count("in") >= IN_FLIGHT)
                    await asyncio.sleep(rng.uniform(0, 0.3))
                    await process.die()
                under_way.append(view.pending_count("in"))
            config = config_of(tmp_path, 0.02)
            async with vconflow(tmp_path, config, port=port, **environment) as process:
                await posting
                await until(lambda: view.length("in") == 0)
                popped = Counter(await pop_all(client, "out", view.ever_added("out")))
                assert await process.terminate() == 0
        assert view.dead("in") == []
        # Each accepted entry was finished exactly once, however often its process died.
        assert view.ever_added("out") == view.ever_added("in")
    assert sender.accepted == popped.keys() == documents.keys()
    assert popped <= sender.sent
    assert {path.stem for path in (tmp_path / "files").rglob("*.json")} == documents.keys()
    print(f"in flight at kills {under_way}, accepted twice {popped.total() - COUNT}")  # noqa: T201


async def test_of_two_replicas_one_is_killed(
    tmp_path: Path, shared_data: Path, cluster_server: RedisCluster, cluster_url: str
) -> None:
    documents = vcons(shared_data, 300)
    environment = {"REDIS_URL": cluster_url, "VCONFLOW_LEASE_SECONDS": str(LEASE)}
    config = config_of(tmp_path, 0.4)
    with cluster_view(cluster_server) as view:
        async with (
            vconflow(tmp_path, config, "one", **environment) as one,
            vconflow(tmp_path, config, "two", **environment) as two,
            asking(two) as client,
        ):
            await bulk(two.url, documents)
            await until(lambda: len(view.pending("in", "one")) >= IN_FLIGHT)
            await one.die()
            left = set(view.pending("in", "one"))
            assert len(left) >= IN_FLIGHT
            await until(lambda: view.length("in") == 0)
            popped = Counter(await pop_all(client, "out", view.ever_added("out")))
            assert await two.terminate() == 0
        assert view.dead("in") == []
    assert popped == Counter(documents.keys())
    assert {path.stem for path in (tmp_path / "files").rglob("*.json")} == documents.keys()
