import asyncio

from redis_support import accept, acceptance, meta, read, vcon

from vconflow.adapters.redis.backend import RedisBackend
from vconflow.adapters.redis.intake import RedisIntake
from vconflow.errors import Permanent, RevisionMismatch
from vconflow.model.validation import validate
from vconflow.ports.documents import Search
from vconflow.ports.intake import Receipt


async def test_one_call_stores_document_meta_listing_index_and_entry(backend: RedisBackend) -> None:
    document = vcon()
    uuid = validate(document).uuid
    receipt = await accept(backend, document, "in", "other")

    (found,) = await backend.documents.fetch([uuid])
    assert (found.document, found.rev, found.born) == (document, receipt.rev, receipt.rev)
    assert (await meta(backend, uuid))["open"] == "2"
    assert await backend.documents.page(offset=0, limit=10, since=None, until=None) == [uuid]
    assert await backend.documents.search(Search(tel="+15550100", name="Ann")) == [uuid]
    (entry,) = await read(backend, "in")
    assert (entry.list, entry.uuid, entry.origin, entry.counted) == ("in", uuid, "http", "open")


async def test_a_new_version_leaves_the_index_keys_of_the_old_one(backend: RedisBackend) -> None:
    first = vcon(tel="+15550100")
    uuid = validate(first).uuid
    old = await accept(backend, first)
    new = await accept(backend, vcon(uuid, tel="+15550199"))

    assert new.rev > old.rev
    assert await backend.documents.search(Search(tel="+15550100")) == []
    assert await backend.documents.search(Search(tel="+15550199")) == [uuid]
    assert await backend.documents.search(Search(mailto="ann@example.com")) == [uuid]


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

    assert again == [[b"ok", receipt.rev]]
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


async def test_an_expected_revision_wins_or_loses_whole(backend: RedisBackend) -> None:
    document = vcon()
    uuid = validate(document).uuid
    receipt = await accept(backend, document)
    changed = vcon(uuid, subject="changed")
    (done,) = await backend.intake.accept([acceptance(changed, expect_rev=receipt.rev)])
    (lost,) = await backend.intake.accept([acceptance(document, expect_rev=receipt.rev)])
    assert isinstance(done, Receipt)
    assert isinstance(lost, RevisionMismatch)
    assert (await backend.documents.fetch([uuid]))[0].document == changed


async def test_concurrent_replacements_leave_one_index(backend: RedisBackend) -> None:
    uuid = validate(vcon()).uuid
    tels = [f"+1555010{n}" for n in range(8)]
    await asyncio.gather(*(accept(backend, vcon(uuid, tel=tel)) for tel in tels))
    found = [tel for tel in tels if await backend.documents.search(Search(tel=tel))]
    (held,) = await backend.documents.fetch([uuid])
    assert held.document is not None
    assert found == list(validate(held.document).tels)


async def test_index_is_trimmed_on_write(backend: RedisBackend) -> None:
    intake: RedisIntake = backend.intake
    intake._index_expiry = 50
    await accept(backend, vcon())
    await asyncio.sleep(0.1)
    newer = vcon()
    await accept(backend, newer)
    assert await backend.documents.search(Search(tel="+15550100")) == [validate(newer).uuid]


async def test_enqueue_skips_what_redis_does_not_hold(backend: RedisBackend) -> None:
    document = vcon()
    await accept(backend, document)
    uuid = validate(document).uuid
    assert await backend.intake.enqueue([uuid, validate(vcon()).uuid], "in", "http") == [
        True,
        False,
    ]
    assert [entry.uuid for entry in await read(backend, "in")] == [uuid]
    assert (await meta(backend, uuid))["open"] == "1"


async def test_deleting_leaves_a_tombstone_and_a_new_post_a_new_life(backend: RedisBackend) -> None:
    document = vcon()
    facts = validate(document)
    first = await accept(backend, document)
    assert await backend.documents.delete(facts.uuid, facts)
    (gone,) = await backend.documents.fetch([facts.uuid])
    assert (gone.document, gone.deleted) == (None, True)
    assert await backend.documents.search(Search(tel="+15550100")) == []
    assert await backend.documents.page(offset=0, limit=10, since=None, until=None) == []
    assert not await backend.documents.delete(facts.uuid, facts)
    await backend.documents.recache(facts.uuid, document, facts)
    assert (await backend.documents.fetch([facts.uuid]))[0].document is None

    again = await accept(backend, document)
    (back,) = await backend.documents.fetch([facts.uuid])
    assert again.rev > first.rev
    assert (back.born, back.deleted, back.document) == (again.rev, False, document)


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
