"""Ingest as only Redis can have it; how every backend behaves is in the contract."""

import pytest
from redis_support import meta, use_up_ids

from vconflow.adapters.redis.backend import RedisBackend
from vconflow.errors import Permanent
from vconflow.model.validation import validate
from vconflow.ports.documents import Search
from vconflow.ports.intake import Acceptance, Enqueuing, Receipt
from vconflow.testing.contracts.backend import accept, acceptance, read, vcon


async def test_the_entries_of_a_document_are_counted(backend: RedisBackend) -> None:
    document = vcon()
    uuid = validate(document).uuid
    await accept(backend, document, "in", "other")
    assert (await meta(backend, uuid))["open"] == "2"
    await backend.intake.enqueue(Enqueuing([uuid, validate(vcon()).uuid], "in"))
    assert (await meta(backend, uuid))["open"] == "3"


async def test_the_same_batch_once_more_gets_the_first_answer(
    backend: RedisBackend, monkeypatch: object
) -> None:
    """What a cut connection makes the driver do: the very same call twice."""
    calls: list[tuple[object, ...]] = []
    client = backend.connections.commands
    original = client.execute_command

    async def record(*args: object, **options: object) -> object:
        calls.append(args)
        return await original(*args, **options)

    client.execute_command = record  # type: ignore[method-assign]
    try:
        receipt = await accept(backend, vcon(), "in")
    finally:
        client.execute_command = original  # type: ignore[method-assign]
    again = (
        await client.execute_command("EVALSHA", *calls[-1][1:])
        if calls[-1][0] == "EVALSHA"
        else (await client.execute_command(*calls[-1]))
    )

    assert again == [receipt.rev]
    assert len(await read(backend, "in")) == 1


async def test_items_fail_alone(backend: RedisBackend) -> None:
    good, bad = vcon(), vcon()
    await backend.connections.commands.execute_command(
        "LPUSH", f"vconflow:vcon:{validate(bad).uuid}", "x"
    )
    first, second = await backend.intake.accept([acceptance(bad, "in"), acceptance(good, "in")])
    assert isinstance(first, Permanent)
    assert "vconflow:vcon:" in str(first)
    assert isinstance(second, Receipt)
    assert [entry.uuid for entry in await read(backend, "in")] == [validate(good).uuid]


async def test_reindex_rebuilds_listing_and_index(backend: RedisBackend) -> None:
    documents = [vcon(tel=f"+1555{n:04}") for n in range(30)]
    for document in documents:
        await accept(backend, document)
    uuids = [validate(document).uuid for document in documents]
    await backend.connections.commands.execute_command("DEL", "vcons", "name:Ann", "tel:+15550003")
    await backend.connections.commands.execute_command("SET", "vcon:junk", "no vcon")
    assert await backend.documents.reindex() == 30
    listed = await backend.documents.page(offset=0, limit=100, since=None, until=None)
    assert sorted(listed) == sorted(uuids)
    assert await backend.documents.search(Search(tel="+15550003")) == [uuids[3]]


async def test_a_vcon_that_comes_twice_in_a_batch_is_replaced_by_the_second(
    backend: RedisBackend,
) -> None:
    document = vcon()
    uuid = validate(document).uuid
    second = document.replace(b"Ann", b"Bea")
    batch = [acceptance(it, "in") for it in (vcon(), document, second)]
    replies = await backend.intake.accept(batch)
    _, before, after = replies
    assert isinstance(before, Receipt)
    assert isinstance(after, Receipt)
    assert after.rev > before.rev
    (held,) = await backend.documents.fetch([uuid])
    assert (held.document, held.rev, held.born) == (second, after.rev, before.rev)
    assert (await meta(backend, uuid))["open"] == "2"
    assert await backend.documents.search(Search(name="Bea")) == [uuid]
    assert uuid not in await backend.documents.search(Search(name="Ann"))


def bulk_line(document: bytes) -> Acceptance:
    return Acceptance(validate(document), document, ("in",), source="bulk")


@pytest.mark.parametrize("first", ["bulk", "http"])
async def test_entries_of_a_bulk_load_stand_in_the_order_of_its_lines(
    backend: RedisBackend, first: str
) -> None:
    """Also behind what takes two steps, since it was there with other parties; all others pass."""
    there = [vcon() for _ in range(3)]
    await backend.intake.accept([acceptance(it) for it in there])
    changed = [it.replace(b"Ann", b"Bea") for it in there]
    lines = [changed[0], vcon(), changed[1], vcon(), changed[2], vcon()]
    batch = [bulk_line(it) for it in lines]
    if first == "http":
        # What stands behind a request about the same vCon waits for it, and so do the others.
        batch[0] = acceptance(changed[0], "other")
        batch.insert(1, bulk_line(there[0]))
    batch.append(acceptance(vcon(), "in"))
    replies = await backend.intake.accept(batch)
    assert [type(reply) for reply in replies] == [Receipt] * len(batch)
    uuids = [validate(it).uuid for it in lines]
    entries = await read(backend, "in", count=100)
    assert [entry.uuid for entry in entries] == [batch[-1].facts.uuid, *uuids]
    held = await backend.documents.fetch([uuids[2]])
    assert held[0].document == changed[1]
    assert uuids[2] not in await backend.documents.search(Search(name="Ann"))


async def test_versions_of_a_vcon_in_a_batch_take_one_step(
    backend: RedisBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many: each is replaced by one with other parties."""
    run, calls = backend.intake._scripts.run, []

    async def noted(name: str, *rest: object) -> object:
        calls.append(name)
        return await run(name, *rest)

    monkeypatch.setattr(backend.intake._scripts, "run", noted)
    older = [vcon() for _ in range(5)]
    versions = [
        it.replace(b"Ann", name) for it in older for name in (b"Ann", b"Bea", b"Cem", b"Bea")
    ]
    replies = await backend.intake.accept([bulk_line(it) for it in versions])
    assert [type(reply) for reply in replies] == [Receipt] * 20
    assert calls == ["accept"]
    uuids = sorted(validate(it).uuid for it in older)
    assert sorted(await backend.documents.search(Search(name="Bea"))) == uuids
    for name in ("Ann", "Cem"):
        assert await backend.documents.search(Search(name=name)) == []


async def test_sources_of_a_batch_keep_apart(backend: RedisBackend) -> None:
    """Where most come from is said once; what differs must not come to others by that."""
    a, b, c = vcon(), vcon(), vcon()
    uuids = [validate(it).uuid for it in (a, b, c)]
    await backend.intake.accept(
        [acceptance(a, "in"), acceptance(b, "in", "other"), acceptance(c, "in")]
    )
    assert [entry.uuid for entry in await read(backend, "in", 9)] == uuids
    assert [entry.uuid for entry in await read(backend, "other", 9)] == [uuids[1]]
    (record,) = await backend.history.of(uuids[1])
    assert record.lists == ("in", "other")


async def test_what_was_accepted_before_the_trouble_of_another_is_whole(
    backend: RedisBackend,
) -> None:
    """A list whose ids are used up fails the call in its middle."""
    good, bad = vcon(), vcon()
    await use_up_ids(backend, "full")
    with pytest.raises(Permanent):
        await backend.intake.accept([acceptance(good, "in"), acceptance(bad, "full")])
    uuid = validate(good).uuid
    assert [entry.uuid for entry in await read(backend, "in")] == [uuid]
    listed = await backend.documents.page(offset=0, limit=10, since=None, until=None)
    assert uuid in listed
