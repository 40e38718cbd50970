"""Processes without a common supervisor on one port (VCONFLOW_REUSE_PORT)."""

import asyncio
from collections import Counter
from pathlib import Path

import httpx
from loading import Sender, vcons
from redis_view import until
from vconflow_process import VconflowProcess, launched, pop_all, vconflow

from vconflow.testing.servers import free_port

CONFIG = {"chains": {"main": {"ingress_lists": ["in"], "egress_lists": ["out"]}}}
PARALLEL = 8


async def test_two_share_a_port_and_one_leaves_under_load(
    tmp_path: Path, shared_data: Path, valkey_url: str
) -> None:
    documents = vcons(shared_data, 10_000)
    environment = {"REDIS_URL": valkey_url, "VCONFLOW_REUSE_PORT": "true"}
    limits = httpx.Limits(max_keepalive_connections=0)
    async with (
        vconflow(tmp_path, CONFIG, "one", **environment) as one,
        httpx.AsyncClient(base_url=one.url, timeout=30, limits=limits) as client,
    ):
        port = int(one.url.rpartition(":")[2])
        async with vconflow(tmp_path, CONFIG, "two", port, **environment) as two:
            assert two.url == one.url
            sender = Sender(client, keys=True)
            posting = asyncio.create_task(sender.post_all(documents, PARALLEL))
            # A connection is for one of them, by its address: both get some soon.
            await until(lambda: both_answer(client))
            assert await two.terminate() == 0
            count = len(sender.accepted)
            await until(lambda: len(sender.accepted) >= count + 50)
            sender.enough = True
            await posting
        popped = await pop_all(client, "out", len(sender.accepted))
        assert Counter(popped) == Counter(list(sender.accepted))
        # Between the last look for connections and the end of listening one may come in.
        assert sender.refused == 0
        assert sender.sent.total() - len(sender.accepted) <= 1
        assert await one.terminate() == 0


async def both_answer(client: httpx.AsyncClient) -> bool:
    """Whether the metrics of a fresh connection come from another process than the last time."""
    starts = {
        line
        for _ in range(8)
        for line in (await client.get("/metrics")).text.splitlines()
        if line.startswith("vconflow_process_start_time_seconds ")
    }
    return len(starts) == 2


async def test_without_the_setting_the_second_one_is_refused(
    tmp_path: Path, valkey_url: str
) -> None:
    port = free_port()
    async with vconflow(tmp_path, CONFIG, port=port, REDIS_URL=valkey_url):
        for environment in ({}, {"VCONFLOW_REUSE_PORT": "1"}, {"CONSERVER_WORKERS": "2"}):
            async with launched(
                tmp_path, CONFIG, "two", port, REDIS_URL=valkey_url, **environment
            ) as two:
                assert await two.ended() == 1
                assert f"--port: cannot listen on 127.0.0.1:{port}" in said_by(two)


def said_by(process: VconflowProcess) -> str:
    return process.log.read_text()
