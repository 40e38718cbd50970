"""kill -9 while vCons are on their way to S3, and an S3 that goes away: all of them arrive."""

from pathlib import Path
from typing import Any

import httpx
from loading import Sender, vcons
from redis_view import until
from vconflow_process import pop_all, vconflow

from vconflow.adapters.objects import S3Objects
from vconflow.ports.objects import BucketAccess
from vconflow.testing import servers

COUNT = 40
KILLS = 2


def config_of(access: BucketAccess) -> dict[str, Any]:
    assert access.access_key_id is not None
    assert access.secret_access_key is not None
    options = {
        "aws_bucket": access.bucket,
        "aws_access_key_id": access.access_key_id.reveal(),
        "aws_secret_access_key": access.secret_access_key.reveal(),
        "endpoint_url": access.endpoint_url,
        "concurrency": 2,  # so that there is time to be killed
    }
    storage = {"module": "storage.s3", "options": options, "retry": {"base": 0.1, "max": 0.5}}
    chain = {"ingress_lists": ["in"], "storages": ["s3"], "egress_lists": ["out"]}
    return {"storages": {"s3": storage}, "chains": {"main": chain}}


async def test_kills_and_an_outage_lose_nothing(tmp_path: Path, shared_data: Path) -> None:
    documents = vcons(shared_data, COUNT)
    (tmp_path / "s3").mkdir()
    async with servers.s3(tmp_path / "s3") as server:
        access = await server.make_bucket("vcons")
        config = config_of(access)

        async def keys() -> list[str]:
            async with server.client() as client:
                listed = await client.list_objects_v2(Bucket=access.bucket)
            return [found["Key"] for found in listed.get("Contents", ())]

        async def more_than(count: int) -> bool:
            return len(await keys()) > count

        for kill in range(KILLS):
            async with vconflow(tmp_path, config, VCONFLOW_LEASE_SECONDS="3") as process:
                if not kill:
                    async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
                        await Sender(client).post_all(documents)
                before = len(await keys())
                assert before < 2 * COUNT
                await until(lambda before=before: more_than(before + 4), 60)  # type: ignore[misc]
                await process.die()
        await server.stop()
        async with (
            vconflow(tmp_path, config, VCONFLOW_PROBE_SECONDS="0.5") as process,
            httpx.AsyncClient(base_url=process.url, timeout=30) as client,
        ):

            async def is_down() -> bool:
                return 'breaker_open{name="storage:s3"} 1' in (await client.get("/metrics")).text

            await until(is_down, 60)
            await server.start()
            assert set(await pop_all(client, "out", COUNT)) == documents.keys()
            reply = await client.get("/dlq", params={"ingress_list": "in"})
            assert reply.json() == []
        names = await keys()
        assert len(names) == 2 * COUNT
        async with S3Objects().bucket(access) as bucket:
            for name in names:
                if name.endswith(".vcon"):
                    uuid = Path(name).stem
                    assert await bucket.get(name) == documents[uuid]
                    assert await bucket.get(f"lookup/{uuid}.txt") == name[:10].encode()
