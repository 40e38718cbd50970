"""Signed and encrypted vCons on their way: recognised, listed, and kept byte for byte."""

import base64
import gzip
import json

from pipeline_support import site, step, unit, vcon

from vconflow.model.identifiers import new_uuid
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.testing.memory_storage import MemoryStorage


async def reading(vcon: Vcon, run: LinkRun) -> Outcome:
    assert vcon.form != "unsigned"
    return CONTINUE


def signed(uuid: str, *, padding: int = 0) -> bytes:
    """A JWS whose uuid is in its packed payload only."""
    payload = gzip.compress(vcon(uuid, subject="x" * padding))
    text = base64.urlsafe_b64encode(payload).decode().rstrip("=")
    return json.dumps({"payload": text, "signatures": [{"signature": "x"}]}, indent=1).encode()


def encrypted(uuid: str) -> bytes:
    header = {"uuid": uuid, "cty": "application/vcon+json"}
    return json.dumps(
        {"unprotected": header, "recipients": [{"encrypted_key": "x"}], "ciphertext": "x"}
    ).encode()


async def test_signed_and_encrypted_vcons_pass_byte_for_byte(redis_url: str) -> None:
    storage = MemoryStorage()
    chain = Chain("main", (step("read", reading),), ("kept",), ("in",), ("out",))
    one, large, secret = new_uuid(), new_uuid(), new_uuid()
    sent = {
        one: signed(one),
        large: signed(large, padding=5_000_000),  # much more than what is read on the event loop
        secret: encrypted(secret),
    }
    async with site(redis_url, chain, storages={"kept": unit("kept", storage)}) as running:
        assert await running.submit(*sent.values()) == list(sent)
        await running.settled()
        assert not await running.dead()
        assert sorted(await running.popped()) == sorted(sent)
        for uuid, document in sent.items():
            assert await running.lookup.get(uuid) == document
            assert await storage.get(uuid) == document
        documents = running.backend.documents
        listed = await documents.page(offset=0, limit=10, since=1_700_000_000, until=None)
        assert sorted(listed) == sorted(sent)
