"""A client that repeats what was cut off, with its Idempotency-Key: everything happens once."""

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from redis.asyncio import Redis
from vconflow_process import vconflow

from vconflow.model.identifiers import new_uuid
from vconflow.testing.tcp_proxy import Direction, TcpProxy, tcp_proxy

CONFIG = {"chains": {"main": {"ingress_lists": ["in"], "egress_lists": ["out"]}}}
ROUNDS = 150
NDJSON = {"content-type": "application/x-ndjson"}


def vcon() -> tuple[str, bytes]:
    uuid = new_uuid()
    text = {"vcon": "0.0.1", "uuid": uuid, "created_at": "2025-03-21T06:59:56Z", "parties": []}
    return uuid, json.dumps(
        {**text, "subject": "x" * random.Random(uuid).randint(0, 2000)}
    ).encode()


@dataclass
class Client:
    """Sends each request until it is answered. `expected` is how often a vCon must come out."""

    http: httpx.AsyncClient
    expected: Counter[str] = field(default_factory=Counter)
    tries: int = 0
    requests: int = 0

    async def insist(self, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        self.requests += 1
        key = {"idempotency-key": f"request {self.requests}"}
        async with asyncio.timeout(60):
            while True:
                self.tries += 1
                try:
                    reply = await self.http.post(path, content=body, headers={**headers, **key})
                except httpx.TransportError:
                    continue
                if reply.status_code != 503:
                    assert reply.is_success, reply.text
                    return reply
                await asyncio.sleep(0.02)

    async def one(self) -> None:
        uuid, document = vcon()
        reply = await self.insist("/vcon?ingress_lists=in", document, {})
        assert (reply.status_code, reply.content) == (201, document)
        self.expected[uuid] += 1

    async def bulk(self) -> None:
        vcons = [vcon() for _ in range(20)]
        body = b"\n".join(document for _, document in vcons)
        reply = await self.insist("/vcons?ingress_lists=in", body, NDJSON)
        assert reply.json() == {"accepted": 20, "rejected_count": 0, "rejected": []}
        self.expected.update(uuid for uuid, _ in vcons)

    async def again(self) -> None:
        """Known ones and one that nobody knows are put on the list."""
        uuids = [*list(self.expected)[-5:], new_uuid()]
        body = json.dumps(uuids).encode()
        reply = await self.insist("/vcon/ingress?ingress_list=in", body, {})
        assert (reply.status_code, reply.headers["x-skipped"]) == (204, "1")
        self.expected.update(uuids[:-1])


async def test_cut_before_and_behind_vconflow(redis_url: str, tmp_path: Path) -> None:
    rng = random.Random(20_251_121)
    async with (
        tcp_proxy(redis_url.removeprefix("unix://")) as behind,
        # What a cut read had fetched for the chain comes back when its lease is over.
        vconflow(
            tmp_path,
            CONFIG,
            REDIS_URL=f"redis://127.0.0.1:{behind.port}",
            VCONFLOW_LEASE_SECONDS="2",
        ) as process,
        tcp_proxy(process.url.removeprefix("http://")) as before,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{before.port}", timeout=10) as http,
        Redis.from_url(redis_url) as redis,
    ):
        client = Client(http)
        await client.one()
        for _ in range(ROUNDS):
            network: TcpProxy = rng.choice([before, behind])
            network.cut_after(rng.randint(1, 4000), rng.choice(list(Direction)))
            await rng.choice([client.one, client.one, client.bulk, client.again])()
        before.restore()
        behind.restore()
        assert client.tries > client.requests + ROUNDS // 5
        async with asyncio.timeout(60):
            while await redis.xlen("vconflow:list:in"):
                await asyncio.sleep(0.02)
        entries = await redis.xrange("vconflow:list:out")
        assert Counter(fields[b"uuid"].decode() for _, fields in entries) == client.expected
