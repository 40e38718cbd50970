"""Idempotency and ownership as only Redis can have them; the rules are in the contract."""

import msgspec
import pytest

from vconflow.adapters.redis.backend import RedisBackend
from vconflow.errors import Conflict, Permanent
from vconflow.model.validation import validate
from vconflow.ports.intake import Acceptance, Enqueuing, Idempotency, Ownership, Receipt
from vconflow.testing.contracts.backend import accept, acceptance, vcon

REQUEST = Idempotency("0123", "a" * 32)
KEY = "vconflow:idempotency:0123"
PARTNERS = "vconflow:partners"


async def run(backend: RedisBackend, *command: str | int) -> object:
    return await backend.connections.commands.execute_command(*command)


async def one_result(backend: RedisBackend, item: Acceptance) -> Receipt | Exception:
    (result,) = await backend.intake.accept([item])
    return result


def by_partner(document: bytes, name: str) -> Acceptance:
    return msgspec.structs.replace(acceptance(document), owner=name, ownership=Ownership.EXCLUSIVE)


async def test_a_request_is_remembered_for_a_day(backend: RedisBackend) -> None:
    item = msgspec.structs.replace(acceptance(vcon()), idempotency=REQUEST)
    await one_result(backend, item)
    left = await run(backend, "PTTL", KEY)
    assert isinstance(left, int)
    assert 86_000_000 < left <= 86_400_000
    await run(backend, "DEL", KEY)
    result = await one_result(backend, item)
    assert isinstance(result, Receipt)
    assert not result.repeated


async def test_a_key_of_somebody_else_is_not_overwritten(backend: RedisBackend) -> None:
    document = vcon()
    uuid = validate(document).uuid
    await accept(backend, document)
    await run(backend, "LPUSH", KEY, "mine")
    item = msgspec.structs.replace(acceptance(vcon(), "in"), idempotency=REQUEST)
    assert isinstance(await one_result(backend, item), Permanent)
    with pytest.raises(Permanent):
        await backend.intake.enqueue(Enqueuing([uuid], "in", idempotency=REQUEST))
    assert await run(backend, "XLEN", "vconflow:list:in") == 0
    assert await run(backend, "LRANGE", KEY, 0, -1) == [b"mine"]


async def test_a_wrong_type_where_partners_are_kept(backend: RedisBackend) -> None:
    await run(backend, "SET", PARTNERS, "mine")
    document = vcon()
    assert isinstance(await one_result(backend, by_partner(document, "a")), Permanent)
    await accept(backend, document)
    await backend.documents.delete(validate(document).uuid, None)
    assert await run(backend, "GET", PARTNERS) == b"mine"


async def test_what_has_left_redis_is_still_owned(backend: RedisBackend) -> None:
    """The document and its meta hash expire; the listing says that a storage has it."""
    theirs, ours = vcon(), vcon()
    await one_result(backend, by_partner(theirs, "a"))
    await accept(backend, ours)
    for document in (theirs, ours):
        uuid = validate(document).uuid
        await run(backend, "DEL", f"vcon:{uuid}", f"vconflow:vcon:{uuid}")
    assert isinstance(await one_result(backend, by_partner(theirs, "b")), Conflict)
    assert isinstance(await one_result(backend, by_partner(ours, "b")), Conflict)
    assert isinstance(await one_result(backend, by_partner(theirs, "a")), Receipt)


async def test_what_was_brought_back_from_a_storage_keeps_its_owner(
    backend: RedisBackend,
) -> None:
    document = vcon()
    uuid = validate(document).uuid
    await one_result(backend, by_partner(document, "a"))
    await run(backend, "DEL", f"vcon:{uuid}", f"vconflow:vcon:{uuid}")
    await backend.documents.recache(uuid, document)
    assert isinstance(await one_result(backend, by_partner(document, "b")), Conflict)
    assert isinstance(await one_result(backend, by_partner(document, "a")), Receipt)


async def test_partners_are_forgotten_with_their_vcons(backend: RedisBackend) -> None:
    deleted, expired, taken = vcon(), vcon(), vcon()
    for document in (deleted, expired, taken):
        await one_result(backend, by_partner(document, "a"))
    assert await run(backend, "HLEN", PARTNERS) == 3
    await backend.documents.delete(validate(deleted).uuid, None)
    await run(backend, "DEL", f"vcon:{validate(expired).uuid}")
    await backend.documents.forget(validate(expired).uuid)
    await accept(backend, taken)
    assert await run(backend, "HLEN", PARTNERS) == 0


async def test_the_owner_of_the_main_key_needs_no_memory_apart(backend: RedisBackend) -> None:
    await accept(backend, vcon())
    assert await run(backend, "EXISTS", PARTNERS) == 0
