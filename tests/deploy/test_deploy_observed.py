"""A real Prometheus looks at a real vconflow: every query of `deploy/` is answered."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from deploy_files import manifest, panels
from prometheus_server import PrometheusServer, prometheus
from vconflow_process import VconflowProcess, vconflow

from vconflow.testing.webhook_receiver import Reply, WebhookReceiver, webhook_receiver

NO_DATA = {
    "Accepted by source B",
    "Refused and failed B",
    "Links and tracers by outcome B",
    "Stopped reading A",
    "New dead letters, and what became of old ones B",
    "Tried again and parked B",
    "Replicas that died or hung A",
    "Replicas that died or hung B",
    "Replicas that died or hung C",
    "What must never happen B",
    "What must never happen D",
    "Pulled A",
    "Pulled B",
    "Left to do A",
    "Left to do B",
    "Since it last went well A",
    "Calls by outcome A",
    "Time of a call A",
    "Cost per hour A",
    "Tokens per second A",
    "Recordings transcribed, in seconds per second A",
}
"""Queries about what does not happen here: partners, followers, tracers, outages, dying replicas,
models.
"""


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as receiver:
        receiver.answer(Reply(status=500))
        receiver.default = Reply(status=400)
        yield receiver


def config(receiver: WebhookReceiver) -> dict[str, Any]:
    """A chain that works, and one whose link fails: first for a moment, then for good."""
    hook = {"webhook-urls": [receiver.url]}
    retry = {"attempts": 3, "base": 0.1}
    return {
        "links": {
            "mark": {"module": "links.tag", "options": {"tags": ["seen"]}},
            "tell": {"module": "links.webhook", "options": hook, "retry": retry},
        },
        "storages": {"files": {"module": "storage.file"}},
        "chains": {
            "main": {
                "links": ["mark"],
                "storages": ["files"],
                "ingress_lists": ["main"],
                "egress_lists": ["done"],
            },
            "failing": {"links": ["tell"], "ingress_lists": ["failing"]},
        },
    }


def document(number: int) -> bytes:
    uuid = f"019d1000-0000-8000-8000-{number:012}"
    return json.dumps({"uuid": uuid, "created_at": "2026-03-22T10:00:00Z"}).encode()


async def send(client: httpx.AsyncClient, name: str, numbers: range) -> None:
    for number in numbers:
        reply = await client.post(
            "/vcon", params={"ingress_lists": name}, content=document(number),
            headers={"content-type": "application/json"},
        )  # fmt: skip
        reply.raise_for_status()


async def use(server: VconflowProcess, prometheus: PrometheusServer) -> None:
    """Send vCons through both chains, with Prometheus looking before, in between and after."""
    async with httpx.AsyncClient(base_url=server.url) as client:
        await prometheus.until('count(up{job="vconflow"} == 1)', 1)
        await send(client, "main", range(10))
        await send(client, "failing", range(10, 12))
        assert (await client.post("/vcon", content=b"{}")).status_code == 422
        await prometheus.until("sum(max by (list) (vconflow_dead_letters))", 2)
        # Two looks make a rate.
        await send(client, "main", range(20, 25))
        await prometheus.until('sum(vconflow_accepted_total{list="main"})', 15)
        # From now on what is accepted waits.
        (await client.post("/chains/main/pause")).raise_for_status()
        await send(client, "main", range(30, 37))


async def test_every_query_of_the_dashboard_alerts_and_autoscaling_is_answered(
    tmp_path: Path, receiver: WebhookReceiver
) -> None:
    environment = {"CONSERVER_WORKERS": "2"}
    async with vconflow(tmp_path / "vconflow", config(receiver), **environment) as server:
        target = server.url.removeprefix("http://")
        async with prometheus(tmp_path / "prometheus", [target]) as observer:
            await use(server, observer)
            await check_autoscaling(observer)
            await check_dashboard(observer)
            await check_alerts(observer)


async def check_autoscaling(prometheus: PrometheusServer) -> None:
    """It sees what waits for the chain, and not what waits to be popped."""
    (trigger,) = manifest("ScaledObject", "vconflow")["spec"]["triggers"]
    await prometheus.until('max(vconflow_list_depth{list="done"})', 15)
    await prometheus.until(trigger["metadata"]["query"], 7)


async def check_dashboard(prometheus: PrometheusServer) -> None:
    empty = set()
    for panel in panels():
        for target in panel["targets"]:
            if not await prometheus.query(target["expr"]):
                empty.add(f"{panel['title']} {target['refId']}")
    assert empty == NO_DATA


async def check_alerts(prometheus: PrometheusServer) -> None:
    rules = await prometheus.rules()
    async with asyncio.timeout(30):
        while any(rule["health"] == "unknown" for rule in rules):
            await asyncio.sleep(0.2)
            rules = await prometheus.rules()
    assert [rule for rule in rules if rule["health"] != "ok"] == []
    # Nothing lasts long enough here, and that is what `for` is for.
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []
