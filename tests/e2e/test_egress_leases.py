"""Leases of egress lists outlive kill -9 of vconflow and of Redis, and each ends at its time."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import httpx
from loading import Sender, vcons
from vconflow_process import vconflow

from vconflow.testing.servers import free_port, valkey

CONFIG = {"chains": {"main": {"ingress_lists": ["in"], "egress_lists": ["out"]}}}
LONG = 86_400


async def lease(client: httpx.AsyncClient, seconds: int, limit: int = 1_000) -> dict[str, str]:
    """Ids by uuid."""
    query = {"limit": limit, "seconds": seconds}
    reply = await client.post("/egress/out/lease", params=query)
    reply.raise_for_status()
    return {entry["uuid"]: entry["id"] for entry in reply.json()["entries"]}


async def ack(client: httpx.AsyncClient, ids: list[str]) -> tuple[int, list[str]]:
    reply = await client.post("/egress/out/ack", json={"ids": ids})
    reply.raise_for_status()
    return reply.json()["acked"], reply.json()["not_leased"]


async def lease_all(client: httpx.AsyncClient, seconds: int, count: int) -> dict[str, str]:
    found: dict[str, str] = {}
    async with asyncio.timeout(60):
        while len(found) < count:
            new = await lease(client, seconds)
            assert not new.keys() & found.keys()
            found |= new
            await asyncio.sleep(0.02)
    return found


async def test_kill_between_lease_and_ack(tmp_path: Path, shared_data: Path) -> None:
    documents = vcons(shared_data, 60)
    port, folder = free_port(), tmp_path / "redis"
    folder.mkdir()
    redis = f"redis://127.0.0.1:{port}"
    async with valkey(folder, port=port) as server:
        async with vconflow(tmp_path, CONFIG, REDIS_URL=redis) as process:
            async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
                await Sender(client).post_all(documents)
                async with asyncio.timeout(60):
                    while (await client.get("/vcon/count?egress_list=out")).json() < 60:
                        await asyncio.sleep(0.02)
                short, long = await lease(client, 4, 20), await lease(client, LONG, 20)
            server.kill()
            await process.die()
        await server.start()
        async with (
            vconflow(tmp_path, CONFIG, REDIS_URL=redis) as process,
            httpx.AsyncClient(base_url=process.url, timeout=30) as client,
        ):
            rest = await lease_all(client, LONG, 40)
            assert rest.keys() == documents.keys() - long.keys()
            assert await ack(client, list(short.values())) == (0, list(short.values()))
            assert await ack(client, list(long.values())) == (20, [])
            server.kill()
            await server.start()
            assert await ack(client, list(rest.values())) == (40, [])
            assert await lease(client, LONG) == {}
            assert (await client.get("/vcon/count?egress_list=out")).json() == 0


async def test_many_clients_on_two_replicas_get_each_lease_alone(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    """Clients take, forget, return and acknowledge beside one that pops."""
    documents = vcons(shared_data, 300)
    handled: Counter[str] = Counter()
    held: set[str] = set()

    async def popping(client: httpx.AsyncClient) -> None:
        while sum(handled.values()) < len(documents):
            for uuid in (await client.get("/vcon/egress?egress_list=out&limit=2")).json():
                assert uuid not in held
                handled[uuid] += 1
            await asyncio.sleep(0.02)

    async def working(client: httpx.AsyncClient, seed: int) -> None:
        choose = random.Random(seed)
        while sum(handled.values()) < len(documents):
            mine = await lease(client, LONG, choose.randint(1, 9))
            assert not held & mine.keys()
            held.update(mine)
            await asyncio.sleep(choose.random() / 50)
            held.difference_update(mine)
            if choose.random() < 0.4:
                await client.post("/egress/out/return", json=list(mine.values()))
                continue
            assert await ack(client, list(mine.values())) == (len(mine), [])
            handled.update(list(mine))

    async with (
        vconflow(tmp_path, CONFIG, "one", REDIS_URL=valkey_url) as one,
        vconflow(tmp_path, CONFIG, "two", REDIS_URL=valkey_url) as two,
        httpx.AsyncClient(base_url=one.url, timeout=30) as first,
        httpx.AsyncClient(base_url=two.url, timeout=30) as second,
    ):
        await Sender(first).post_all(documents)
        clients = [first, second] * 3
        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            group.create_task(popping(first))
            for number, client in enumerate(clients):
                group.create_task(working(client, number))
        assert handled == Counter(documents.keys())
