"""Every route that needs Redis says 503 with Retry-After while there is none, and soon enough."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from loading import IN, JSON, bulk, vcons
from redis.asyncio import Redis
from redis.exceptions import RedisError
from vconflow_process import vconflow

from vconflow.testing.servers import RedisServer, valkey

NDJSON = {"content-type": "application/x-ndjson"}
CONFIG = {
    "chains": {"main": {"ingress_lists": ["in"], "egress_lists": ["out"]}},
}
PATIENCE = 25.0
"""Seconds in which a client certainly has its answer; half of it is what we aim at."""


@asynccontextmanager
async def busy(server: RedisServer) -> AsyncIterator[None]:
    """Somebody's script runs, and everybody else is sent away."""
    async with (
        Redis.from_url(server.url) as operator,
        Redis.from_url(server.url, socket_timeout=60) as somebody,
    ):
        await operator.config_set("busy-reply-threshold", 50)
        endless = asyncio.create_task(somebody.eval("while true do end", 0))  # type: ignore[arg-type]
        with contextlib.suppress(RedisError):
            while await operator.ping():  # type: ignore[misc]
                await asyncio.sleep(0.01)
        yield
        await operator.script_kill()
        await asyncio.wait([endless])
        assert isinstance(endless.exception(), RedisError)


@asynccontextmanager
async def stopped(server: RedisServer) -> AsyncIterator[None]:
    server.pause()
    yield
    server.resume()


@asynccontextmanager
async def killed(server: RedisServer) -> AsyncIterator[None]:
    server.kill()
    yield
    await server.start()


def requests(client: httpx.AsyncClient, uuid: str, document: bytes) -> list[httpx.Request]:
    """One for each route that cannot be answered without Redis."""
    build = client.build_request
    return [
        build("GET", "/vcon"),
        build("POST", "/vcon", params=IN, content=document, headers=JSON),
        build("GET", f"/vcon/{uuid}"),
        build("PUT", f"/vcon/{uuid}", content=document, headers=JSON),
        build("DELETE", f"/vcon/{uuid}"),
        build("GET", "/vcons", params={"vcon_uuids": uuid}),
        build("POST", "/vcons", params=IN, content=document, headers=NDJSON),
        build("GET", "/vcons/search", params={"tel": "+15550100"}),
        build("POST", "/vcon/ingress", params={"ingress_list": "in"}, json=[uuid]),
        build("GET", "/vcon/egress", params={"egress_list": "out"}),
        build("GET", "/vcon/count", params={"egress_list": "out"}),
        build("GET", "/dlq", params={"ingress_list": "in"}),
        build("GET", "/dead-letters", params={"list": "in"}),
        build("GET", "/stats/queue", params={"list_name": "in"}),
        build("GET", "/index_vcons"),
        build("GET", "/chains"),
        build("POST", "/chains/main/pause"),
        build("POST", "/chains/main/resume"),
        build("GET", f"/vcon/{uuid}/history"),
        build("POST", "/egress/out/lease"),
        build("POST", "/egress/out/ack", json=["1-0.1"]),
        build("GET", "/config/versions"),
        build("POST", "/config", json=CONFIG),
    ]  # fmt: skip


@pytest.mark.parametrize("trouble", [busy, stopped, killed])
async def test_every_route_asks_the_client_to_come_back(
    tmp_path: Path,
    shared_data: Path,
    trouble: Callable[[RedisServer], AbstractAsyncContextManager[None]],
) -> None:
    ((uuid, document),) = vcons(shared_data, 1).items()
    (tmp_path / "redis").mkdir()
    async with (
        valkey(tmp_path / "redis") as redis,
        vconflow(tmp_path, CONFIG, REDIS_URL=redis.url) as process,
        httpx.AsyncClient(base_url=process.url, timeout=PATIENCE) as client,
    ):
        await bulk(process.url, {uuid: document})
        todo = requests(client, uuid, document)
        async with trouble(redis):
            ready = await client.get("/ready")
            replies = await asyncio.gather(*(client.send(request) for request in todo))
            assert (await client.get("/health")).status_code == 200
        states = {state["name"]: state for state in ready.json()["dependencies"]}
        state = states["redis"]
        assert (ready.status_code, state["name"], bool(state["error"])) == (503, "redis", True)
        wrong = [f"{it.request.method} {it.url.path}: {it.status_code} {it.text}"
                 for it in replies if it.status_code != 503]  # fmt: skip
        assert wrong == []
        assert all(int(reply.headers["retry-after"]) >= 1 for reply in replies)
        async with asyncio.timeout(60):
            while (await client.get("/ready")).status_code != 200:
                await asyncio.sleep(0.05)
        for request in requests(client, uuid, document):
            reply = await client.send(request)
            assert reply.status_code < 300 or reply.status_code == 404, reply.text
