"""SIGTERM under load, a second signal, and a second start on the kept data."""

import asyncio
import json
import signal
from pathlib import Path

import httpx
from vconflow_process import VconflowProcess, pop_all, vconflow

from vconflow.testing.webhook_receiver import Reply, WebhookReceiver, webhook_receiver

COUNT = 60


def config_of(receiver: WebhookReceiver) -> dict[str, object]:
    hook = {"module": "links.webhook", "options": {"webhook-urls": [receiver.url]}}
    chain = {"links": ["hook"], "ingress_lists": ["in"], "egress_lists": ["out"]}
    return {"links": {"hook": hook}, "chains": {"main": chain}}


async def load(process: VconflowProcess, folder: Path) -> list[str]:
    lines = (folder / "conversations.ndjson").read_bytes().splitlines()[:COUNT]
    async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
        reply = await client.post(
            "/vcons",
            params={"ingress_lists": "in"},
            content=b"\n".join(lines),
            headers={"content-type": "application/x-ndjson"},
        )
    assert reply.json()["accepted"] == COUNT
    return [json.loads(line)["uuid"] for line in lines]


async def wait_for(receiver: WebhookReceiver, count: int) -> None:
    async with asyncio.timeout(30):
        while len(receiver.received) < count:
            await asyncio.sleep(0.01)


async def test_what_finishes_in_time_is_not_repeated_and_the_rest_goes_on_later(
    tmp_path: Path, shared_data: Path
) -> None:
    with webhook_receiver() as receiver:
        receiver.answer(*[Reply(delay=0.5)] * 20, *[Reply(fault="hang")] * (COUNT - 20))
        config = config_of(receiver)
        async with vconflow(tmp_path, config, VCONFLOW_GRACE_SECONDS="1.5") as process:
            uuids = await load(process, shared_data)
            await wait_for(receiver, COUNT)
            assert await process.terminate() == 0
        receiver.release()
        # The same data folder and the same name: it goes on at once with what is left.
        async with (
            vconflow(tmp_path, config) as process,
            httpx.AsyncClient(base_url=process.url) as client,
        ):
            assert sorted(await pop_all(client, "out", COUNT)) == sorted(uuids)
        assert len(receiver.received) == COUNT + (COUNT - 20)


async def test_a_second_signal_stops_at_once_and_loses_nothing(
    tmp_path: Path, shared_data: Path
) -> None:
    with webhook_receiver() as receiver:
        receiver.default = Reply(fault="hang")
        config = config_of(receiver)
        async with vconflow(tmp_path, config, VCONFLOW_LEASE_SECONDS="1") as process:
            uuids = await load(process, shared_data)
            await wait_for(receiver, COUNT)
            process.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.5)
            process.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(10):
                assert await process.process.wait() == -signal.SIGTERM
        receiver.release()
        async with (
            vconflow(tmp_path, config, VCONFLOW_LEASE_SECONDS="1") as process,
            httpx.AsyncClient(base_url=process.url) as client,
        ):
            assert set(await pop_all(client, "out", COUNT)) == set(uuids)


async def test_while_it_stops_it_is_not_ready_but_still_answers(
    tmp_path: Path, shared_data: Path
) -> None:
    with webhook_receiver() as receiver:
        receiver.default = Reply(fault="hang")
        async with vconflow(tmp_path, config_of(receiver)) as process:
            await load(process, shared_data)
            await wait_for(receiver, COUNT)
            process.process.send_signal(signal.SIGINT)
            async with httpx.AsyncClient(base_url=process.url) as client:
                async with asyncio.timeout(10):
                    while (await client.get("/ready")).status_code == 200:
                        await asyncio.sleep(0.01)
                assert (await client.get("/health")).status_code == 200
                assert (await client.get("/stats/queue?list_name=in")).json()["depth"] == 0
            receiver.release()
            async with asyncio.timeout(30):
                assert await process.process.wait() == 0
