"""Tracers of a running replica: given, changed and taken away by its configuration."""

from pathlib import Path
from typing import Any

import httpx
from loading import vcons
from redis_view import until
from vconflow_process import pop_all, vconflow

from vconflow.testing.jlinc_server import JlincServer, jlinc_server
from vconflow.testing.webhook_receiver import Reply

WAY = [("system", "mark"), ("mark", "system")]


def config_of(jlinc: JlincServer, tracers: list[str], **options: Any) -> dict[str, Any]:
    given = {"data_store_api_url": jlinc.url, "data_store_api_key": jlinc.key, **options}
    return {
        "links": {"mark": {"module": "links.tag", "options": {"tags": ["x"]}}},
        "tracers": {"audit": {"module": "tracers.jlinc", "options": given, "timeout": 5}},
        "chains": {
            "main": {
                "links": ["mark"],
                "ingress_lists": ["in"],
                "egress_lists": ["out"],
                "tracers": tracers,
            }
        },
    }


async def test_tracers_come_and_go_with_the_configuration(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    documents = iter(vcons(shared_data, 20).items())
    with jlinc_server() as jlinc:
        async with (
            vconflow(tmp_path, config_of(jlinc, []), REDIS_URL=valkey_url) as process,
            httpx.AsyncClient(base_url=process.url, timeout=30) as client,
        ):

            async def post() -> str:
                uuid, document = next(documents)
                answer = await client.post("/vcon?ingress_lists=in", content=document)
                assert answer.status_code == 201, answer.text
                return uuid

            async def use(tracers: list[str], **options: Any) -> None:
                change = config_of(jlinc, tracers, **options)
                answer = await client.post("/config", json=change)
                assert answer.status_code == 204, answer.text
                chain = (await client.get("/chains/main")).json()
                assert chain["tracers"] == tracers

            async def ways_of(uuid: str) -> list[tuple[str, str]]:
                assert await pop_all(client, "out", 1) == [uuid]
                return jlinc.way(uuid)

            assert await ways_of(await post()) == []
            await use(["audit"])
            assert await ways_of(await post()) == WAY
            await use(["audit"], data_store_api_key="wrong")
            assert await ways_of(await post()) == []

            # The same trouble, and now it counts.
            await use(["audit"], data_store_api_key="wrong", dlq_vcon_on_error=True)
            uuid = await post()
            letter = await _first_letter(client)
            assert (letter["uuid"], letter["stage"]) == (uuid, "tracer:audit")
            assert "wrong" not in str(letter)

            await use(["audit"], dlq_vcon_on_error=True)
            answer = await client.post("/dead-letters/replay", json={"list": "in"})
            assert answer.status_code == 200, answer.text
            assert await ways_of(uuid) == WAY

            jlinc.trouble = Reply(503)
            waiting = [await post() for _ in range(8)]
            await until(lambda: _is_down(client, "tracer:audit"))
            assert (await client.get("/vcon/egress?egress_list=out")).json() == []
            jlinc.trouble = None
            assert sorted(await pop_all(client, "out", 8)) == sorted(waiting)
            assert [uuid for uuid in waiting if set(jlinc.way(uuid)) != set(WAY)] == []

            await use([])
            assert await ways_of(await post()) == []
            text = (await client.get("/metrics")).text
            told = 'vconflow_tracer_seconds_count{outcome="%s",tracer="audit"}'
            assert [word for word in ("ok", "failed") if told % word not in text] == []
    assert "wrong" not in process.log.read_text()


async def _first_letter(client: httpx.AsyncClient) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    async def look() -> bool:
        answer = await client.get("/dead-letters", params={"list": "in"})
        found.extend(answer.json()["dead_letters"])
        return bool(found)

    await until(look)
    return found[0]


async def _is_down(client: httpx.AsyncClient, name: str) -> bool:
    reply = (await client.get("/ready")).json()
    return any(one["name"] == name and not one["ok"] for one in reply["dependencies"])
