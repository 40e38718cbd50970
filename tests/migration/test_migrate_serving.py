"""Servers on what a conserver left: before, during and after its migration."""

import asyncio
import json
from pathlib import Path

import httpx
from conserver_data import CONFIG, Conserver, named, samples, uuids_of
from migrating import either_format, entries, run_migrate
from redis import Redis
from vconflow_process import vconflow

from vconflow.testing.servers import RedisServer

FOUND = "conserver_data_found"


async def test_a_server_says_what_it_found_and_works_all_the_same(
    tmp_path: Path, redis_json: RedisServer, client: "Redis[str]", conserver: Conserver
) -> None:
    conserver.post(old := named("Ann"), ["in"])
    conserver.post(replaced := named("Bob"))
    text = conserver.get(old["uuid"])
    async with (
        vconflow(tmp_path / "site", CONFIG, REDIS_URL=redis_json.url) as server,
        httpx.AsyncClient(base_url=server.url) as http,
    ):
        [line] = [line for line in server.log.read_text().splitlines() if FOUND in line]
        assert "1 uuids in 'in'" in line
        assert "run vconflow migrate" in line
        assert (await http.get(f"/vcon/{old['uuid']}")).text == text
        found = await http.get("/vcons/search", params={"name": "Ann"})
        assert found.json() == [old["uuid"]]
        for vcon in (new := named("Ann")), replaced | {"subject": "again"}:
            reply = await http.post("/vcon", json=vcon)
            assert reply.status_code == 201, reply.text
        assert json.loads((await http.get(f"/vcon/{replaced['uuid']}")).text)["subject"] == "again"
        assert client.lrange("in", 0, -1) == [old["uuid"]]

        code, stdout, stderr = await asyncio.to_thread(
            run_migrate, tmp_path / "cli", redis_json.url, "--yes"
        )
        assert code == 0, stdout + stderr
        found = await http.get("/vcons/search", params={"name": "Ann"})
        assert set(found.json()) == {old["uuid"], new["uuid"]}
        assert (await http.get(f"/vcon/{replaced['uuid']}")).json()["subject"] == "again"


@either_format
async def test_chains_run_on_what_was_migrated(
    tmp_path: Path, redis_json: RedisServer, client: "Redis[str]", conserver: Conserver,
    shared_data: Path,
) -> None:  # fmt: skip
    vcons = samples(shared_data, 150)
    for vcon in vcons[:100]:
        conserver.post(vcon, ["in"])
    for vcon in vcons[100:]:
        conserver.post(vcon)
        conserver.bury(vcon["uuid"], "in")
    async with (
        vconflow(tmp_path / "site", CONFIG, REDIS_URL=redis_json.url) as server,
        httpx.AsyncClient(base_url=server.url) as http,
    ):
        code, stdout, stderr = await asyncio.to_thread(
            run_migrate, tmp_path / "cli", redis_json.url, "--yes"
        )
        assert code == 0, stdout + stderr
        await _until(lambda: len(entries(client, "out")) == 100)
        dead = (await http.get("/dlq", params={"ingress_list": "in"})).json()
        assert dead == uuids_of(vcons[100:])
        reply = await http.post("/dlq/reprocess", params={"ingress_list": "in"})
        assert reply.json() == 50
        await _until(lambda: len(entries(client, "out")) == 150)
        assert sorted(entries(client, "out")) == sorted(uuids_of(vcons))
        for vcon in (vcons[0], vcons[149]):
            carried = (await http.get(f"/vcon/{vcon['uuid']}")).json()
            assert "migrated" in json.dumps(carried["attachments"])
        assert not (await http.get("/dead-letters")).json()["dead_letters"]
    async with vconflow(tmp_path / "again", CONFIG, REDIS_URL=redis_json.url) as server:
        assert FOUND not in server.log.read_text()


async def _until(holds: "object") -> None:
    async with asyncio.timeout(40):
        while not holds():  # type: ignore[operator]
            await asyncio.sleep(0.05)
