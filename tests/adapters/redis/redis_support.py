"""Small vCons and a backend for the tests of the Redis adapter."""

import json
from typing import Any

from vconflow.adapters.redis.backend import RedisBackend
from vconflow.model.entry import Entry
from vconflow.model.identifiers import new_uuid
from vconflow.model.validation import validate
from vconflow.ports.intake import Acceptance, Receipt
from vconflow.ports.stream import ReadRequest


def vcon(uuid: str | None = None, *, tel: str = "+15550100", **members: Any) -> bytes:
    document = {
        "vcon": "0.0.1",
        "uuid": uuid or new_uuid(),
        "created_at": "2025-03-21T06:59:56+00:00",
        "parties": [{"tel": tel, "mailto": "ann@example.com", "name": "Ann"}],
        "dialog": [],
        **members,
    }
    return json.dumps(document).encode()


def acceptance(document: bytes, *lists: str, expect_rev: int | None = None) -> Acceptance:
    return Acceptance(validate(document), document, lists, expect_rev=expect_rev)


async def accept(backend: RedisBackend, document: bytes, *lists: str) -> Receipt:
    (receipt,) = await backend.intake.accept([acceptance(document, *lists)])
    assert isinstance(receipt, Receipt)
    return receipt


async def read(backend: RedisBackend, *lists: str, count: int = 10) -> list[Entry]:
    await backend.stream.ensure(lists)
    return await backend.stream.read([ReadRequest(lists, count)], count, 0.01)


async def meta(backend: RedisBackend, uuid: str) -> dict[str, str]:
    flat = await backend.connections.commands.execute_command("HGETALL", f"vconflow:vcon:{uuid}")
    return {k.decode(): v.decode() for k, v in zip(flat[::2], flat[1::2], strict=True)}
