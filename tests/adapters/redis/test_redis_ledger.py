"""The one script that decides what becomes of an entry."""

import asyncio

from redis_support import accept, meta, read, vcon

from vconflow.adapters.redis.backend import RedisBackend
from vconflow.model.entry import Entry
from vconflow.model.validation import validate
from vconflow.ports.documents import Document, Search
from vconflow.ports.ledger import (
    Bury,
    Commit,
    CommitResult,
    Defer,
    Finish,
    Progress,
    Target,
    Verdict,
)


async def begun(backend: RedisBackend, document: bytes | None = None) -> tuple[Entry, Document]:
    document = document or vcon()
    await accept(backend, document, "in")
    (entry,) = await read(backend, "in")
    (found,) = await backend.documents.fetch([entry.uuid])
    return entry, found


def commit_of(entry: Entry, found: Document, **values: object) -> Commit:
    fields = {"rev": found.rev, "born": found.born, "previous_index": found.index, **values}
    return Commit(entry, entry.uuid, **fields)  # type: ignore[arg-type]


async def commit(backend: RedisBackend, item: Commit) -> CommitResult:
    (result,) = await backend.ledger.commit([item])
    assert isinstance(result, CommitResult)
    return result


async def pttl(backend: RedisBackend, key: str) -> int:
    return int(await backend.connections.commands.execute_command("PTTL", key))


async def test_finish_hands_on_acks_and_counts(backend: RedisBackend) -> None:
    entry, found = await begun(backend)
    finish = Finish("chain:main", (Target("out", False), Target("next", True)))
    assert (await commit(backend, commit_of(entry, found, then=finish))).verdict is Verdict.DONE

    assert (await backend.stream.depth(["in"]))["in"].pending == 0
    held = await meta(backend, entry.uuid)
    assert (held["open"], held["egress"]) == ("1", "1")
    (passed,) = await read(backend, "next")
    assert (passed.origin, passed.counted) == ("chain:main", "open")
    (popped,) = await backend.egress.lease("out", 5)
    assert (popped.uuid, popped.counted) == (entry.uuid, "egress")
    assert await pttl(backend, f"vcon:{entry.uuid}") == -1


async def test_a_stored_document_expires_when_nothing_works_on_it(backend: RedisBackend) -> None:
    document = vcon()
    await accept(backend, document, "in", "also")
    (entry,) = await read(backend, "in")
    (found,) = await backend.documents.fetch([entry.uuid])
    await commit(backend, commit_of(entry, found, then=Finish(stored=True)))
    assert await pttl(backend, f"vcon:{entry.uuid}") == -1

    (second,) = await read(backend, "also")
    await commit(backend, commit_of(second, found, then=Finish(stored=True)))
    assert 0 < await pttl(backend, f"vcon:{entry.uuid}") <= 3_600_000


async def test_without_a_storage_a_document_stays(backend: RedisBackend) -> None:
    entry, found = await begun(backend)
    await commit(backend, commit_of(entry, found, then=Finish()))
    assert await pttl(backend, f"vcon:{entry.uuid}") == -1


async def test_a_change_after_storing_keeps_the_document(backend: RedisBackend) -> None:
    entry, found = await begun(backend)
    await accept(backend, vcon(entry.uuid, subject="newer"))
    result = await commit(backend, commit_of(entry, found, then=Finish(stored=True)))
    assert result.verdict is Verdict.MOVED
    assert (await backend.stream.depth(["in"]))["in"].pending == 1


async def test_expire_asked_for_by_a_link_forgets_the_vcon(backend: RedisBackend) -> None:
    entry, found = await begun(backend)
    await commit(backend, commit_of(entry, found, then=Finish(expire_seconds=0)))
    await asyncio.sleep(0.01)
    assert await backend.documents.sweep(4e9) == 1
    assert await backend.documents.page(offset=0, limit=10, since=None, until=None) == []
    assert await backend.documents.search(Search(name="Ann")) == []


async def test_writing_moves_the_revision_and_the_index(backend: RedisBackend) -> None:
    entry, found = await begun(backend)
    changed = vcon(entry.uuid, tel="+15550177")
    item = commit_of(entry, found, document=changed, facts=validate(changed))
    written = await commit(backend, item)
    assert written.rev > found.rev
    assert await backend.documents.search(Search(tel="+15550177")) == [entry.uuid]
    assert await backend.documents.search(Search(tel="+15550100")) == []
    # The same commit again is based on a revision that is gone.
    assert (await commit(backend, item)) == CommitResult(Verdict.MOVED, written.rev)


async def test_who_lost_the_entry_writes_nothing(
    backend: RedisBackend, other: RedisBackend
) -> None:
    entry, found = await begun(backend)
    await asyncio.sleep(0.35)
    (taken,) = await other.stream.take_over("in", 10)
    assert taken.progress.crashes == 1
    changed = vcon(entry.uuid, subject="late")
    for then in (Finish(targets=(Target("out", False),)), Defer(Progress()), None):
        item = commit_of(entry, found, document=changed, then=then)
        assert (await commit(backend, item)).verdict is Verdict.LOST
    assert (await backend.documents.fetch([entry.uuid]))[0].rev == found.rev
    assert await backend.egress.lease("out", 1) == []
    assert (await commit(other, commit_of(entry, found, then=Finish()))).verdict is Verdict.DONE


async def test_deleted_meanwhile_then_acknowledged(backend: RedisBackend) -> None:
    entry, found = await begun(backend)
    await backend.documents.delete(entry.uuid, None)
    for item in (commit_of(entry, found, then=Finish(stored=True)), commit_of(entry, found)):
        assert (await commit(backend, item)).verdict is Verdict.DELETED
    acked = await commit(backend, commit_of(entry, found, then=Finish(deleted=True)))
    assert acked.verdict is Verdict.DONE
    assert (await backend.stream.depth(["in"]))["in"].pending == 0
    assert (await meta(backend, entry.uuid)).keys() == {"deleted", "rev"}


async def test_a_new_life_of_the_uuid_is_not_written_by_the_old_one(backend: RedisBackend) -> None:
    entry, found = await begun(backend)
    await backend.documents.delete(entry.uuid, None)
    await accept(backend, vcon(entry.uuid))
    assert (await commit(backend, commit_of(entry, found, rev=0))).verdict is Verdict.DELETED


async def test_deferred_progress_comes_back_to_whoever_takes_over(
    backend: RedisBackend, other: RedisBackend
) -> None:
    entry, found = await begun(backend)
    progress = Progress(next_link="tag", attempts=2, stage="link:tag", due=4_000_000_000_000)
    await commit(backend, commit_of(entry, found, then=Defer(progress)))
    (own,) = await backend.stream.recover("in", "", 10)
    assert own.progress == progress
    await asyncio.sleep(0.35)
    (taken,) = await other.stream.take_over("in", 10)
    # It was waiting for a retry when its owner went away: no crash.
    assert taken.progress == progress


async def test_burying_moves_the_entry_with_its_reason(backend: RedisBackend) -> None:
    entry, found = await begun(backend)
    progress = Progress(next_link="webhook", attempts=5, first_failure=1000)
    bury = Bury(progress, "main", "link:webhook", "Permanent", "refused: ünïcode")
    assert (await commit(backend, commit_of(entry, found, then=bury))).verdict is Verdict.DONE

    (letter,) = await backend.dead_letters.browse("in", after="", count=10)
    assert (letter.uuid, letter.stage, letter.error) == (
        entry.uuid, "link:webhook", "refused: ünïcode",
    )  # fmt: skip
    assert (letter.attempts, letter.first_failure, letter.next_link) == (5, 1000, "webhook")
    assert (await backend.stream.depth(["in"]))["in"].dead == 1
    assert (await meta(backend, entry.uuid))["open"] == "1"

    assert await backend.dead_letters.replay("in", [letter.id, "1-1"]) == 1
    (again,) = await read(backend, "in")
    assert again.origin == "replay"
    assert b'"next_link":"webhook"' in again.progress
    assert await backend.dead_letters.browse("in", after="", count=10) == []


async def test_an_expired_dead_letter_takes_its_document_along(backend: RedisBackend) -> None:
    entry, found = await begun(backend)
    bury = Bury(Progress(), "main", "crash", "Permanent", "gone")
    await commit(backend, commit_of(entry, found, then=bury))
    assert await backend.dead_letters.expire("in", 1000, 10) == 0
    assert await backend.dead_letters.expire("in", 4_000_000_000_000, 10) == 1
    assert (await backend.documents.fetch([entry.uuid]))[0].document is None
    assert await backend.documents.search(Search(name="Ann")) == []


async def test_items_of_a_batch_stand_alone(backend: RedisBackend) -> None:
    for _ in range(3):
        await accept(backend, vcon(), "in")
    entries = await read(backend, "in")
    found = await backend.documents.fetch([entry.uuid for entry in entries])
    await backend.connections.commands.execute_command("SET", "vconflow:list:wrong", "x")
    commits = [
        commit_of(entries[0], found[0], then=Finish(targets=(Target("wrong", False),))),
        commit_of(entries[1], found[1], rev=1, then=Finish()),
        commit_of(entries[2], found[2], then=Finish()),
    ]
    wrong, moved, done = await backend.ledger.commit(commits)
    assert isinstance(wrong, Exception)
    assert "vconflow:list:wrong" in str(wrong)
    assert isinstance(moved, CommitResult)
    assert moved.verdict is Verdict.MOVED
    assert done == CommitResult(Verdict.DONE, found[2].rev)
    assert (await backend.stream.depth(["in"]))["in"].pending == 2


async def test_who_lost_its_name_writes_nothing(backend: RedisBackend) -> None:
    """A process that was frozen for longer than its lease, and whose name a successor took."""
    entry, found = await begun(backend)
    client = backend.connections.commands
    await client.execute_command("SET", "vconflow:consumer:one", "the successor")
    item = commit_of(entry, found, then=Finish(targets=(Target("out", False),)))
    assert (await commit(backend, item)).verdict is Verdict.LOST
    assert await backend.egress.lease("out", 1) == []
    # A hold that merely ran out while Redis was away displaces nobody.
    await client.execute_command("DEL", "vconflow:consumer:one")
    assert (await commit(backend, item)).verdict is Verdict.DONE


async def test_a_deleted_vcon_whose_copies_stay_is_buried_when_insisted_on(
    backend: RedisBackend,
) -> None:
    entry, found = await begun(backend)
    await backend.documents.delete(entry.uuid, None)
    bury = Bury(Progress(), "main", "storage:s", "Retryable", "away")
    assert (await commit(backend, commit_of(entry, found, then=bury))).verdict is Verdict.DELETED
    insisting = Bury(Progress(), "main", "storage:s", "Retryable", "away", even_deleted=True)
    assert (await commit(backend, commit_of(entry, found, then=insisting))).verdict is Verdict.DONE
    assert len(await backend.dead_letters.browse("in", after="", count=9)) == 1


async def test_keys_that_hold_something_else_fail_their_item_alone(backend: RedisBackend) -> None:
    for _ in range(2):
        await accept(backend, vcon(), "in")
    bad, good = await read(backend, "in")
    client = backend.connections.commands
    await client.execute_command("DEL", f"vconflow:vcon:{bad.uuid}")
    await client.execute_command("SET", f"vconflow:vcon:{bad.uuid}", "x")
    found = await backend.documents.fetch([bad.uuid, good.uuid])
    assert [item.rev > 0 for item in found] == [False, True]
    results = await backend.ledger.commit(
        [
            commit_of(bad, found[0], rev=0, then=Finish()),
            commit_of(good, found[1], then=Finish()),
        ]
    )
    assert "holds something else" in str(results[0])
    assert results[1] == CommitResult(Verdict.DONE, found[1].rev)
