"""Hundreds of clients that send one byte now and then, at a real process."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
from vconflow_process import vconflow

from vconflow.model.identifiers import new_uuid

CONFIG: dict[str, Any] = {"chains": {"main": {"ingress_lists": ["inbox"], "links": []}}}
COUNT = 500
KEY = {"x-conserver-api-token": "token"}


def vcon() -> bytes:
    members: dict[str, Any] = {"parties": [], "dialog": [], "analysis": [], "attachments": []}
    head = {"vcon": "0.0.1", "uuid": new_uuid("slow"), "created_at": "2024-01-01T00:00:00Z"}
    return json.dumps({**head, **members}).encode()


async def test_dripping_clients_keep_nobody_out_and_are_sent_away(tmp_path: Path) -> None:
    environment = {
        "VCONFLOW_HEADER_TIMEOUT": "4",
        "VCONFLOW_BODY_TIMEOUT": "4",
        "CONSERVER_API_TOKEN": "token",
        "VCONFLOW_AUDIT_LOG": str(tmp_path / "audit.log"),
    }
    async with vconflow(tmp_path, CONFIG, **environment) as process:
        port = int(process.url.rpartition(":")[2])
        pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(COUNT)]
        for number, (_, writer) in enumerate(pairs):
            # Half of them never end their head, half never end their body.
            head = b"POST /vcon HTTP/1.1\r\nhost: x\r\nx-conserver-api-token: token\r\n"
            length = b"content-length: 1000\r\n\r\n" if number % 2 else b"x: "
            writer.write(head + length)

        async def drip() -> None:
            while True:
                for _, writer in pairs:
                    writer.write(b"a")
                await asyncio.sleep(0.5)

        dripper = asyncio.create_task(drip())
        async with httpx.AsyncClient(base_url=process.url, headers=KEY) as client:
            for _ in range(50):
                response = await client.post("/vcon?ingress_lists=inbox", content=vcon())
                assert response.status_code == 201
        async with asyncio.timeout(90):
            answers = [await reader.read() for reader, _ in pairs]
        dripper.cancel()
        for _, writer in pairs:
            writer.transport.abort()
        assert {answer.split()[1] for answer in answers} == {b"408"}
        async with httpx.AsyncClient(base_url=process.url, headers=KEY) as client:
            metrics = (await client.get("/metrics")).text
        told = f'vconflow_connections_refused_total{{reason="408"}} {COUNT}.0'
        assert told in metrics
        assert await process.terminate() == 0
    lines = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    stored = [line for line in lines if line["status"] == 201]
    assert len({line["about"]["uuid"] for line in stored}) == 50
