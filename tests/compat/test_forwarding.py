"""A forwarder that trusts our answers: no file is lost, and none is stuck."""

import asyncio
import json
from pathlib import Path

import httpx
from forwarder import Forwarder
from loading import vcons
from redis_view import until
from vconflow_process import VconflowProcess, pop_all, vconflow

from vconflow.testing.servers import free_port, valkey

KEY = "the key of the forwarder"
CONFIG = {"chains": {"main": {"ingress_lists": ["in"], "egress_lists": ["out"]}}}


async def popped(process: VconflowProcess, count: int) -> set[str]:
    headers = {"x-conserver-api-token": KEY}
    async with httpx.AsyncClient(base_url=process.url, timeout=30, headers=headers) as client:
        return set(await pop_all(client, "out", count))


async def test_no_file_is_lost_and_none_is_stuck(tmp_path: Path, shared_data: Path) -> None:
    documents = vcons(shared_data, 120)
    port = free_port()
    forwarder = Forwarder(tmp_path / "files", f"http://127.0.0.1:{port}", KEY, "in")
    for uuid, document in documents.items():
        (forwarder.folder / f"{uuid}.vcon.json").write_bytes(document)
    for name, text in {
        "cut": '{"vcon": "0.0.1", "uu',
        "text": "hello",
        "other": '{"a": 1}',
    }.items():
        (forwarder.folder / f"{name}.vcon.json").write_text(text)
    everything = forwarder.waiting
    site = tmp_path / "site"

    def kept(status: int) -> None:
        assert forwarder.waiting == everything
        assert set(forwarder.met.values()) == {status}

    await asyncio.to_thread(forwarder.sweep)
    kept(0)  # nobody there
    async with valkey(tmp_path) as redis:
        environment = {"REDIS_URL": redis.url, "CONSERVER_API_TOKEN": KEY}
        async with vconflow(site, CONFIG, port=port, **environment) as process:
            forwarder.key = "an old key"
            await asyncio.to_thread(forwarder.sweep)
            kept(403)
            forwarder.key, forwarder.ingress_list = KEY, "not_there_yet"
            await asyncio.to_thread(forwarder.sweep)
            # What is no vCon may as well be found out first.
            assert everything - forwarder.waiting <= {
                f"{it}.vcon.json" for it in ("cut", "text", "other")
            }
            assert set(forwarder.met.values()) <= {404, 422}
            forwarder.ingress_list = "in"
            sweeping = asyncio.create_task(asyncio.to_thread(forwarder.sweep))
            await until(lambda: len(forwarder.waiting) < 100)
            await process.die()
            await sweeping
            left = forwarder.waiting
            assert left
        async with vconflow(site, CONFIG, port=port, **environment) as process:
            sweeping = asyncio.create_task(asyncio.to_thread(forwarder.sweep))
            await until(lambda: len(forwarder.waiting) < len(left) // 2)
            assert await process.terminate() == 0
            await sweeping
        await redis.stop()
        await redis.start()
        async with vconflow(site, CONFIG, port=port, **environment) as process:
            await asyncio.to_thread(forwarder.sweep_until_empty)
            assert await popped(process, len(documents)) == documents.keys()
    rejected = {file.name.partition(".")[0] for file in forwarder.rejected.iterdir()}
    assert rejected == {"cut", "text", "other"}


async def test_files_wait_while_redis_is_away(tmp_path: Path, shared_data: Path) -> None:
    documents = vcons(shared_data, 3)
    forwarder = Forwarder(tmp_path / "files", "", KEY, "in")
    for uuid, document in documents.items():
        (forwarder.folder / f"{uuid}.vcon.json").write_bytes(document)
    async with valkey(tmp_path) as redis:
        environment = {"REDIS_URL": redis.url, "CONSERVER_API_TOKEN": KEY}
        async with vconflow(tmp_path / "site", CONFIG, **environment) as process:
            forwarder.url = process.url
            await redis.stop()
            await asyncio.to_thread(forwarder.sweep)
            assert set(forwarder.met.values()) == {503}
            await redis.start()
            await asyncio.to_thread(forwarder.sweep_until_empty)
            assert await popped(process, 3) == documents.keys()


async def test_nothing_is_a_4xx_while_redis_is_away(tmp_path: Path, shared_data: Path) -> None:
    """Clients drop what is answered with 4xx: whatever needs Redis says 503 and when to return."""
    uuid, document = next(iter(vcons(shared_data, 1).items()))
    requests = [
        ("POST", "/vcon?ingress_lists=in", document),
        ("POST", "/api/vcons?ingress_lists=in", document),
        ("PUT", f"/vcon/{uuid}", document),
        ("DELETE", f"/vcon/{uuid}", b""),
        ("GET", f"/vcon/{uuid}", b""),
        ("GET", "/vcon", b""),
        ("GET", f"/vcons?vcon_uuids={uuid}", b""),
        ("GET", "/vcons/search?name=Ada", b""),
        ("POST", "/vcon/ingress?ingress_list=in", json.dumps([uuid]).encode()),
        ("POST", "/chain/main/ingress", json.dumps([uuid]).encode()),
        ("GET", "/vcon/egress?egress_list=out", b""),
        ("POST", "/chain/main/egress", b""),
        ("POST", "/egress/out/lease?limit=1", b""),
        ("GET", "/vcon/count?egress_list=out", b""),
        ("GET", "/stats/queue?list_name=in", b""),
        ("GET", "/dlq?ingress_list=in", b""),
        ("POST", "/dlq/reprocess?ingress_list=in", b""),
        ("GET", "/dead-letters", b""),
        ("GET", f"/vcon/{uuid}/history", b""),
        ("GET", "/index_vcons", b""),
    ]
    headers = {"x-conserver-api-token": KEY, "content-type": "application/json"}
    async with valkey(tmp_path) as redis:
        environment = {"REDIS_URL": redis.url, "CONSERVER_API_TOKEN": KEY}
        async with (
            vconflow(tmp_path / "site", CONFIG, **environment) as process,
            httpx.AsyncClient(base_url=process.url, timeout=30, headers=headers) as client,
        ):
            await redis.stop()
            replies = await asyncio.gather(
                *(client.request(method, path, content=body) for method, path, body in requests)
            )
            answers = {
                f"{method} {path}": (
                    reply.status_code,
                    reply.headers.get("retry-after", "").isdigit(),
                )
                for (method, path, _), reply in zip(requests, replies, strict=True)
            }
            assert answers == dict.fromkeys(answers, (503, True))
            for path in ("/health", "/version", "/config"):
                assert (await client.get(path)).status_code == 200
            assert (await client.get("/ready")).status_code == 503
