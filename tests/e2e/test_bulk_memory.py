"""A bulk load as large as one likes takes no more memory than a small one."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
from vconflow_process import VconflowProcess, vconflow

from vconflow.model.identifiers import new_uuid

CONFIG = {"chains": {"main": {"ingress_lists": ["in"], "egress_lists": ["out"]}}}
NDJSON = {"content-type": "application/x-ndjson"}
MEGABYTE = 1_000_000
LINE = 200_000
UUIDS = [new_uuid() for _ in range(10)]
"""The same again and again: it is about our memory, not about that of Redis."""


def line(number: int) -> bytes:
    """Every tenth is a vCon; the others are refused, and remembered up to a thousand."""
    uuid = UUIDS[number // 10 % len(UUIDS)] if number % 10 == 0 else "none"
    text = {"vcon": "0.0.1", "uuid": uuid, "created_at": "2025-03-21T06:59:56Z", "parties": []}
    return json.dumps({**text, "subject": "x" * LINE}).encode() + b"\n"


async def load(client: httpx.AsyncClient, size: int) -> None:
    count = size // LINE

    async def body() -> AsyncIterator[bytes]:
        for number in range(count):
            yield line(number)

    reply = await client.post("/vcons", content=body(), headers=NDJSON)
    assert reply.status_code == 200
    accepted = -(-count // 10)
    assert reply.json()["accepted"] == accepted
    assert reply.json()["rejected_count"] == count - accepted


def peak(process: VconflowProcess) -> int:
    """The most memory that the process ever had resident, in bytes."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


async def test_memory_stays_flat(valkey_url: str, tmp_path: Path) -> None:
    async with (
        vconflow(tmp_path, CONFIG, REDIS_URL=valkey_url) as process,
        httpx.AsyncClient(base_url=process.url, timeout=120) as client,
    ):
        for _ in range(2):
            await load(client, 25 * MEGABYTE)
        before = peak(process)
        await load(client, 300 * MEGABYTE)
        assert peak(process) - before < 30 * MEGABYTE
