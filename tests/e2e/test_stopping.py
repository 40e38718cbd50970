"""SIGTERM under load, a second signal, and a second start on the kept data."""

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from loading import bulk, vcons
from redis_view import redis_view, until
from vconflow_process import VconflowProcess, pop_all, vconflow

from vconflow.testing.webhook_receiver import Reply, WebhookReceiver, webhook_receiver

COUNT = 60


def config_of(receiver: WebhookReceiver) -> dict[str, object]:
    hook = {
        "module": "links.webhook",
        "options": {"webhook-urls": [receiver.url]},
    }
    chain = {"links": ["hook"], "ingress_lists": ["in"], "egress_lists": ["out"]}
    return {"links": {"hook": hook}, "chains": {"main": chain}}


async def load(process: VconflowProcess, folder: Path, count: int = COUNT) -> list[str]:
    documents = vcons(folder, count)
    await bulk(process.url, documents)
    return list(documents)


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
            process.signal(signal.SIGTERM)
            await asyncio.sleep(0.5)
            process.signal(signal.SIGTERM)
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
            process.signal(signal.SIGINT)
            async with httpx.AsyncClient(base_url=process.url) as client:
                async with asyncio.timeout(10):
                    while (await client.get("/ready")).status_code == 200:
                        await asyncio.sleep(0.01)
                health = await client.get("/health")
                assert health.status_code == 200
                # So that no client sends another request to the end of the process.
                assert health.headers["connection"] == "close"
                assert (await client.get("/stats/queue?list_name=in")).json()["depth"] == 0
            receiver.release()
            async with asyncio.timeout(30):
                assert await process.process.wait() == 0


@pytest.mark.parametrize(("signals", "lease"), [(1, 15.0), (2, 3.0)])
async def test_the_other_replica_takes_what_a_stopping_one_leaves(
    tmp_path: Path, shared_data: Path, valkey_url: str, signals: int, lease: float
) -> None:
    """SIGTERM under load: some finish in time, the rest is handed over, once and at once.

    A second signal hands nothing over: then it is the end of the leases that does.
    """
    environment = {"REDIS_URL": valkey_url, "VCONFLOW_LEASE_SECONDS": str(lease)}
    environment |= {"VCONFLOW_GRACE_SECONDS": "1.0" if signals == 1 else "60"}
    with webhook_receiver() as receiver, redis_view(valkey_url) as redis:
        receiver.answer(*[Reply(delay=0.8)] * 30)
        receiver.default = Reply(fault="hang")
        async with vconflow(tmp_path, config_of(receiver), **environment) as one:
            uuids = await load(one, shared_data, 300)
            await until(lambda: len(receiver.received) >= 120)
            assert redis.pending_count("in") >= 100
            async with vconflow(tmp_path, config_of(receiver), "two", **environment) as two:
                mine = set(redis.pending("in", "one"))
                code = await stop(one, signals)
                assert code == (0 if signals == 1 else -signal.SIGTERM)
                stopped = time.monotonic()
                receiver.release()
                await until(lambda: not redis.pending("in", "one"), seconds=10 * lease)
                if signals == 1:
                    # Others look three times per lease. What is not handed over is renewed until
                    # the last third, and theirs after two more of these at the earliest.
                    assert time.monotonic() - stopped < 0.6 * lease
                await until(lambda: redis.length("in") == 0)
                async with httpx.AsyncClient(base_url=two.url) as client:
                    popped = await pop_all(client, "out", redis.ever_added("out"))
                assert await two.terminate() == 0
        assert sorted(popped) == sorted(uuids)
        assert redis.dead("in") == []
        calls = Counter(call.headers["idempotency-key"] for call in receiver.received)
        repeated = {key.split(":")[1] for key, count in calls.items() if count > 1}
        assert repeated <= mine
        assert max(calls.values()) <= 2


async def stop(process: VconflowProcess, signals: int) -> int:
    process.signal(signal.SIGTERM)
    if signals == 2:
        await asyncio.sleep(0.3)
        process.signal(signal.SIGTERM)
    return await process.ended()
