"""Keys of ours that hold something else: the item is refused whole, whatever was tried before."""

from typing import Any

import pytest

from vconflow.adapters.redis.backend import RedisBackend
from vconflow.errors import Permanent, Unavailable
from vconflow.model.validation import validate
from vconflow.ports.documents import Search
from vconflow.ports.intake import Receipt
from vconflow.testing.contracts.backend import accept, acceptance, read, vcon

TEL, NAME = "+15550990", "Mallory"


def of(tel: str, name: str, uuid: str | None = None) -> bytes:
    return vcon(uuid, parties=[{"tel": tel, "name": name}])


async def foreign(backend: RedisBackend, key: str) -> None:
    await backend.connections.commands.execute_command("LPUSH", key, "somebody else's")


async def found(backend: RedisBackend) -> list[str]:
    return list(await backend.documents.search(Search(tel=TEL)))


# The keys are tried in this order, so that what comes before the one that fails is to be undone.
@pytest.mark.parametrize("wrong", [f"tel:{TEL}", f"name:{NAME}"])
async def test_a_new_vcon_leaves_nothing_behind(backend: RedisBackend, wrong: str) -> None:
    await foreign(backend, wrong)
    document, other = of(TEL, NAME), of("+15550991", "Ann")
    uuid, client = validate(document).uuid, backend.connections.commands
    first, second = await backend.intake.accept(
        [acceptance(document, "in"), acceptance(other, "in")]
    )
    assert isinstance(first, Permanent)
    assert wrong in str(first)
    assert isinstance(second, Receipt)
    keys = (f"vcon:{uuid}", f"vconflow:vcon:{uuid}", f"vconflow:history:{uuid}")
    assert await client.execute_command("EXISTS", *keys) == 0
    assert await client.execute_command("ZSCORE", "vcons", uuid) is None
    if wrong != f"tel:{TEL}":
        assert await found(backend) == []
    assert [entry.uuid for entry in await read(backend, "in")] == [validate(other).uuid]


async def test_a_vcon_that_is_there_stays_as_it_is(backend: RedisBackend) -> None:
    before = of(TEL, "Ann")
    uuid = validate(before).uuid
    await accept(backend, before)
    await foreign(backend, f"name:{NAME}")
    after = of(TEL, NAME, uuid)
    (refused,) = await backend.intake.accept([acceptance(after, "in")])
    assert isinstance(refused, Permanent)
    (held,) = await backend.documents.fetch([uuid])
    assert held.document == before
    assert await found(backend) == [uuid]
    assert await read(backend, "in") == []


async def test_an_index_key_that_turned_foreign_keeps_the_entries_of_the_same_vcon(
    backend: RedisBackend,
) -> None:
    """The index of a vCon that is posted again is tried anew; only what is new is taken back."""
    document = of(TEL, NAME)
    uuid = validate(document).uuid
    await accept(backend, document)
    client = backend.connections.commands
    await client.execute_command("DEL", f"name:{NAME}")
    await foreign(backend, f"name:{NAME}")
    (refused,) = await backend.intake.accept([acceptance(document, "in")])
    assert isinstance(refused, Permanent)
    assert await found(backend) == [uuid]
    (held,) = await backend.documents.fetch([uuid])
    assert held.document == document


async def test_a_document_key_of_somebody_else_is_not_overwritten(backend: RedisBackend) -> None:
    document = of(TEL, NAME)
    uuid = validate(document).uuid
    await foreign(backend, f"vcon:{uuid}")
    (refused,) = await backend.intake.accept([acceptance(document, "in")])
    assert isinstance(refused, Permanent)
    client = backend.connections.commands
    assert await client.execute_command("LRANGE", f"vcon:{uuid}", 0, -1) == [b"somebody else's"]
    assert await found(backend) == []
    assert await read(backend, "in") == []


async def test_index_keys_expire_and_rest_between_looks(backend: RedisBackend) -> None:
    """A key that was looked at lately is not given a new expiry by each vCon."""
    client, key = backend.connections.commands, f"tel:{TEL}"
    await accept(backend, vcon(tel=TEL))
    assert await client.execute_command("PTTL", key) > 86_400_000
    await client.execute_command("PEXPIRE", key, 90_000_000)
    await accept(backend, vcon(tel=TEL))
    assert await client.execute_command("PTTL", key) <= 90_000_000
    await client.execute_command("PEXPIRE", key, 80_000_000)
    await accept(backend, vcon(tel=TEL))
    assert await client.execute_command("PTTL", key) > 86_400_000
    await client.execute_command("PERSIST", key)
    await accept(backend, vcon(tel=TEL))
    assert await client.execute_command("PTTL", key) > 86_400_000


async def test_an_old_index_key_of_somebody_else_harms_nobody_else(backend: RedisBackend) -> None:
    before = of(TEL, NAME)
    uuid = validate(before).uuid
    await accept(backend, before)
    await backend.connections.commands.execute_command("DEL", f"tel:{TEL}")
    await foreign(backend, f"tel:{TEL}")
    others = [of("+15550992", "Ann"), of("+15550993", "Bob")]
    batch = [others[0], of("+15550994", NAME, uuid), others[1]]
    first, refused, last = await backend.intake.accept([acceptance(it, "in") for it in batch])
    assert isinstance(first, Receipt)
    assert isinstance(last, Receipt)
    assert isinstance(refused, Permanent)
    assert f"tel:{TEL}" in str(refused)
    (held,) = await backend.documents.fetch([uuid])
    assert held.document == before
    assert {entry.uuid for entry in await read(backend, "in")} == {
        validate(it).uuid for it in others
    }


async def test_who_was_accepted_is_told_so_though_redis_goes_away(
    backend: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vCon with other index keys than before is tried a second time, and its batch with it."""
    before = of(TEL, "Ann")
    await accept(backend, before)
    run, calls = backend.intake._scripts.run, []

    async def once(name: str, *args: Any) -> Any:
        calls.append(name)
        if len(calls) > 1:
            raise Unavailable("gone")
        return await run(name, *args)

    monkeypatch.setattr(backend.intake._scripts, "run", once)
    batch = [of("+15550995", "Ann"), of("+15550996", "Bob", validate(before).uuid)]
    first, second = await backend.intake.accept([acceptance(it, "in") for it in batch])
    assert isinstance(first, Receipt)
    assert isinstance(second, Unavailable)
    assert calls == ["accept", "accept"]
