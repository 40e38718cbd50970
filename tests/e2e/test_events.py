"""Looking at a running vconflow: events as they happen, the history of a vCon, chains."""

import asyncio
import json
from pathlib import Path

import httpx
from loading import IN, JSON, vcons
from vconflow_process import vconflow

from vconflow.client.live import parsed
from vconflow.testing.servers import free_port, valkey

CONFIG = {
    "links": {"tag": {"module": "links.tag", "options": {"tags": ["seen"]}}},
    "chains": {"main": {"links": ["tag"], "ingress_lists": ["in"], "egress_lists": ["out"]}},
}


async def test_a_vcon_is_followed_through_two_replicas(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    """A client of one replica hears what the other one does, and the history says the same."""
    ((uuid, document),) = vcons(shared_data, 1).items()
    async with (
        vconflow(tmp_path, CONFIG, "one", REDIS_URL=valkey_url) as one,
        vconflow(tmp_path, CONFIG, "two", REDIS_URL=valkey_url) as two,
        httpx.AsyncClient(base_url=one.url, timeout=30) as first,
        httpx.AsyncClient(base_url=two.url, timeout=30) as second,
    ):
        async with second.stream("GET", "/events?chain=main") as response:
            heard = parsed(response.aiter_lines())
            await first.post("/vcon", content=document, headers=JSON, params=IN)
            async with asyncio.timeout(30):
                seen = [await anext(heard), await anext(heard)]
        assert [(name, data["uuid"]) for name, data in seen] == [
            ("accepted", uuid),
            ("completed", uuid),
        ]
        assert [step["name"] for step in seen[1][1]["links"]] == ["tag"]
        assert (await first.get("/vcon/egress?egress_list=out")).json() == [uuid]
        remembered = (await second.get(f"/vcon/{uuid}/history")).json()["events"]
        assert remembered[:2] == [data for _, data in seen]
        assert [record["type"] for record in remembered] == ["accepted", "completed", "handed-out"]


async def test_lists_that_a_link_routes_to_are_measured(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    document = json.loads(next(iter(vcons(shared_data, 1).values())))
    routes = {"tag_routes": {"seen": ["aside", "never"]}}
    config = {
        "links": CONFIG["links"] | {"route": {"module": "links.tag_router", "options": routes}},
        "chains": {"main": {"links": ["tag", "route"], "ingress_lists": ["in"]}},
    }
    async with (
        vconflow(tmp_path, config, REDIS_URL=valkey_url) as one,
        httpx.AsyncClient(base_url=one.url, timeout=30) as client,
    ):
        await client.post("/vcon", json=document, params=IN)
        async with asyncio.timeout(30):
            shown = 'vconflow_list_depth{list="aside"} 1.0'
            while shown not in (await client.get("/metrics")).text:
                await asyncio.sleep(0.1)
        depth = await client.get("/stats/queue?list_name=aside")
        assert depth.json() == {"list_name": "aside", "depth": 1}
        assert (await client.get("/stats/queue?list_name=none")).status_code == 404


async def test_a_paused_chain_keeps_what_is_accepted(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    documents = vcons(shared_data, 5)
    async with (
        vconflow(tmp_path, CONFIG, "one", REDIS_URL=valkey_url) as one,
        httpx.AsyncClient(base_url=one.url, timeout=30) as client,
    ):
        assert (await client.post("/chains/main/pause")).status_code == 204
        for document in documents.values():
            await client.post("/vcon", content=document, headers=JSON, params=IN)
        await asyncio.sleep(0.3)
        chain = (await client.get("/chains/main")).json()
        assert (chain["paused"], chain["depth"], chain["in_flight"]) == (True, 5, 0)
        assert (await client.post("/chains/main/resume")).status_code == 204
        async with asyncio.timeout(30):
            while (await client.get("/vcon/count?egress_list=out")).json() < 5:
                await asyncio.sleep(0.02)
        (chain,) = (await client.get("/chains")).json()["chains"]
        assert (chain["paused"], chain["depth"], chain["rate"] > 0) == (False, 0, True)


async def test_streams_end_when_the_process_stops(tmp_path: Path, valkey_url: str) -> None:
    async with (
        vconflow(tmp_path, CONFIG, "one", REDIS_URL=valkey_url) as one,
        httpx.AsyncClient(base_url=one.url, timeout=30) as client,
    ):
        async with client.stream("GET", "/events") as response:
            stopping = asyncio.create_task(one.terminate())
            assert [event async for event in parsed(response.aiter_lines())] == [
                ("end", {"reason": "stopping"})
            ]
        assert await stopping == 0


async def test_a_restart_of_redis_is_told_as_a_gap(tmp_path: Path, shared_data: Path) -> None:
    ((uuid, document),) = vcons(shared_data, 1).items()
    port, folder = free_port(), tmp_path / "redis"
    folder.mkdir()
    async with (
        valkey(folder, port=port) as server,
        vconflow(tmp_path, CONFIG, "one", REDIS_URL=f"redis://127.0.0.1:{port}") as one,
        httpx.AsyncClient(base_url=one.url, timeout=60) as client,
        client.stream("GET", "/events?type=completed") as response,
    ):
        heard = parsed(response.aiter_lines())
        server.kill()
        await server.start()
        async with asyncio.timeout(60):
            assert (await anext(heard))[0] == "gap"
            while not (
                await client.post("/vcon", content=document, headers=JSON, params=IN)
            ).is_success:
                await asyncio.sleep(0.1)
            assert (await anext(heard))[1]["uuid"] == uuid
