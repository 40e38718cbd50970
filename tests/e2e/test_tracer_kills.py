"""kill -9 while vCons are traced: nothing is lost, no step is untold, nothing is bought twice."""

import asyncio
import random
from pathlib import Path

import httpx
from loading import Sender, vcons
from redis_view import redis_view, until
from test_kills import Lives, check_payments, config_of, pop_everything
from vconflow_process import vconflow

from vconflow.model.vcon import Vcon
from vconflow.testing.jlinc_server import JlincServer, jlinc_server
from vconflow.testing.servers import free_port
from vconflow.testing.webhook_receiver import Reply, webhook_receiver

COUNT, KILLS, SEED = 330, 3, 20_260_101
WAY = [("system", "tag"), ("tag", "paid"), ("paid", "hook"), ("hook", "system")]


async def test_kills_while_vcons_are_traced(
    tmp_path: Path, shared_data: Path, valkey_url: str, postgres_dsn: str
) -> None:
    rng = random.Random(SEED)
    documents = vcons(shared_data, COUNT)
    items, port = list(documents.items()), free_port()
    # Else those of the first life would come back one at a time.
    environment = {"REDIS_URL": valkey_url, "VCONFLOW_POISON_CRASHES": "10"}
    with (
        webhook_receiver() as receiver,
        jlinc_server() as jlinc,
        redis_view(valkey_url) as redis,
    ):
        config = config_of(tmp_path, receiver, postgres_dsn)
        config["tracers"] = {"audit": {"module": "tracers.jlinc", "options": options_of(jlinc)}}
        config["chains"]["main"]["tracers"] = ["audit"]
        lives = Lives(redis, receiver)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            sender, posts = Sender(client), list[asyncio.Task[None]]()
            for start in range(0, COUNT, COUNT // KILLS):
                part = dict(items[start : start + COUNT // KILLS])
                jlinc.delay = rng.uniform(0.2, 0.4)
                receiver.default = Reply(delay=rng.uniform(0, 0.5) if start else 30)
                async with vconflow(tmp_path, config, port=port, **environment) as process:
                    posts.append(asyncio.create_task(sender.post_all(part)))
                    await until(lambda: redis.pending_count("in") >= 100)
                    await asyncio.sleep(rng.uniform(0, 0.8))
                    if start:  # the first ones may all wait for the webhook
                        told = len(jlinc.events)
                        await until(lambda told=told: len(jlinc.events) > told)
                    await process.die()
                lives.ended(process.process.pid)
            jlinc.delay, receiver.default = 0.0, Reply()
            async with vconflow(tmp_path, config, port=port, **environment) as process:
                await asyncio.gather(*posts)
                popped = await pop_everything(process, redis)
        assert redis.dead("in") == []
        assert sender.accepted == popped.keys() == documents.keys()
        check_payments(tmp_path / "paid", lives)
        ways = {uuid: jlinc.way(uuid) for uuid in documents}
    assert [uuid for uuid, way in ways.items() if not set(WAY) <= set(way)] == []
    repeats = sum(len(way) - len(WAY) for way in ways.values())
    assert repeats > 0, "no kill hit anything that was traced"
    files = {path.stem: path.read_bytes() for path in (tmp_path / "files").rglob("*.json")}
    assert files.keys() == documents.keys()
    assert [uuid for uuid in files if "seen:seen" not in Vcon(files[uuid]).tags] == []


def options_of(jlinc: JlincServer) -> dict[str, object]:
    return {
        "data_store_api_url": jlinc.url,
        "data_store_api_key": jlinc.key,
        "dlq_vcon_on_error": True,
    }
