"""The script that decides what becomes of an entry, as only Redis can have it."""

import asyncio

import pytest
from redis_support import meta, use_up_ids

from vconflow.adapters.redis.backend import RedisBackend
from vconflow.errors import Permanent, Unavailable
from vconflow.model.validation import validate
from vconflow.ports.documents import Search
from vconflow.ports.ledger import (
    Bury,
    Commit,
    CommitResult,
    Finish,
    Progress,
    Target,
    Verdict,
)
from vconflow.testing.contracts.backend import accept, begun, commit, commit_of, read, vcon


async def pttl(backend: RedisBackend, key: str) -> int:
    return int(await backend.connections.commands.execute_command("PTTL", key))


async def test_what_is_handed_on_is_counted(backend: RedisBackend) -> None:
    entry, found = await begun(backend)
    finish = Finish("chain:main", (Target("out", False), Target("next", True)), stored=("s",))
    assert (await commit(backend, commit_of(entry, found, then=finish))).verdict is Verdict.DONE

    held = await meta(backend, entry.uuid)
    assert (held["open"], held["egress"]) == ("1", "1")
    assert await pttl(backend, f"vcon:{entry.uuid}") == -1
    (passed,) = await read(backend, "next")
    await commit(backend, commit_of(passed, found, then=Finish(stored=("s",))))
    assert 0 < await pttl(backend, f"vcon:{entry.uuid}") <= 3_600_000


async def test_acknowledging_a_deleted_vcon_leaves_the_tombstone_alone(
    backend: RedisBackend,
) -> None:
    entry, found = await begun(backend)
    await backend.documents.delete(entry.uuid, None)
    acked = await commit(backend, commit_of(entry, found, then=Finish(deleted=True)))
    assert acked.verdict is Verdict.DONE
    assert (await meta(backend, entry.uuid)).keys() == {"deleted", "rev"}


async def test_a_dead_letter_stays_counted(backend: RedisBackend) -> None:
    entry, found = await begun(backend)
    bury = Bury(Progress(), "main", "link:webhook", "Permanent", "refused")
    assert (await commit(backend, commit_of(entry, found, then=bury))).verdict is Verdict.DONE
    assert (await meta(backend, entry.uuid))["open"] == "1"
    (letter,) = await backend.dead_letters.browse("in", after="", count=10)
    assert await backend.dead_letters.replay("in", [letter.id]) == 1
    assert (await meta(backend, entry.uuid))["open"] == "1"


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


async def test_an_entry_popped_from_an_ingress_list_is_no_open_work(backend: RedisBackend) -> None:
    await accept(backend, vcon(), "in")
    popped = await backend.egress.lease("in", 1)
    await backend.egress.ack("in", popped)
    assert (await meta(backend, popped[0].uuid))["open"] == "0"


async def test_deleting_after_the_meta_hash_was_forgotten_cleans_the_index(
    backend: RedisBackend,
) -> None:
    document = vcon()
    facts = validate(document)
    await accept(backend, document)
    client = backend.connections.commands
    await client.execute_command("DEL", f"vconflow:vcon:{facts.uuid}")
    assert await backend.documents.delete(facts.uuid, facts)
    assert await backend.documents.search(Search(name="Ann")) == []


async def test_only_some_of_many_large_documents_come_at_once(backend: RedisBackend) -> None:
    documents = [vcon(x="y" * 9_000_000) for _ in range(3)]
    for document in documents:
        await accept(backend, document, "in")
    uuids = [validate(document).uuid for document in documents]
    assert len(await backend.documents.fetch_some(uuids)) == 2
    assert len(await backend.documents.fetch(uuids)) == 3


async def test_what_redis_does_not_let_be_written_is_not_acknowledged(
    backend: RedisBackend,
) -> None:
    """Somebody took a right away: the document is written before anything else happens."""
    entry, found = await begun(backend)
    finish = Finish("chain:main", (Target("out", False),), stored=("s",))
    document = found.document.replace(b"{", b'{"tagged":true,', 1)
    ending = commit_of(entry, found, document=document, then=finish)
    client = backend.connections.commands
    for command in ("set", "xadd"):
        await client.execute_command("ACL", "SETUSER", "default", f"-{command}")
        try:
            with pytest.raises(Unavailable):
                await commit(backend, ending)
        finally:
            await client.execute_command("ACL", "SETUSER", "default", f"+{command}")
        depth = await backend.stream.depth(["in", "out"])
        assert (depth["in"].pending, depth["out"].waiting) == (1, 0)
        assert await pttl(backend, f"vcon:{entry.uuid}") == -1
    assert (await commit(backend, ending)).verdict is Verdict.DONE
    depth = await backend.stream.depth(["in", "out"])
    assert (depth["in"].pending, depth["out"].waiting) == (0, 1)
    (kept,) = await backend.documents.fetch([entry.uuid])
    assert kept.document == document
    assert 0 < await pttl(backend, f"vcon:{entry.uuid}") <= 3_600_000


async def test_what_cannot_be_handed_on_does_not_expire(backend: RedisBackend) -> None:
    """The ids of the list it goes to are used up: the dead letter that follows needs it."""
    entry, found = await begun(backend)
    await use_up_ids(backend, "full")
    ending = Finish("chain:main", (Target("full", False),), expire_seconds=0)
    with pytest.raises(Permanent):
        await commit(backend, commit_of(entry, found, then=ending))
    bury = Bury(Progress(), "main", "commit", "Permanent", "refused")
    assert (await commit(backend, commit_of(entry, found, then=bury))).verdict is Verdict.DONE
    assert await pttl(backend, f"vcon:{entry.uuid}") == -1


async def test_a_document_that_a_link_lets_expire_does_so_at_the_end(
    backend: RedisBackend,
) -> None:
    for seconds, most in ((60, 60_000), (0, -2)):
        entry, found = await begun(backend)
        document = found.document.replace(b"{", b'{"tagged":true,', 1)
        ending = Finish(expire_seconds=seconds)
        done = await commit(backend, commit_of(entry, found, document=document, then=ending))
        assert (done.verdict, done.rev > found.rev) == (Verdict.DONE, True)
        left = await pttl(backend, f"vcon:{entry.uuid}")
        assert left == most if most < 0 else 0 < left <= most
        assert (await meta(backend, entry.uuid))["ttl"] == str(seconds * 1000)
        expiring = await backend.connections.commands.execute_command(
            "ZSCORE", "vconflow:expiring", entry.uuid
        )
        assert expiring is not None


async def test_each_end_of_a_batch_is_its_own(backend: RedisBackend) -> None:
    """What most have in common is said once; what differs must not come to others by that."""
    for _ in range(5):
        await accept(backend, vcon(), "in")
    entries = await read(backend, "in", 5)
    finish = Finish("chain:main", (Target("out", False),))
    ends = [finish, finish, Finish("chain:main", (Target("next", True),)), finish, None]
    results = await backend.ledger.commit(
        [Commit(entry, entry.uuid, then=end) for entry, end in zip(entries, ends, strict=True)]
    )
    assert all(isinstance(it, CommitResult) and it.verdict is Verdict.DONE for it in results)
    depth = await backend.stream.depth(["in", "out", "next"])
    assert (depth["out"].waiting, depth["next"].waiting, depth["in"].pending) == (3, 1, 1)
    (passed,) = await read(backend, "next")
    assert passed.uuid == entries[2].uuid


async def test_dead_letters_of_one_batch_keep_apart(backend: RedisBackend) -> None:
    """The same trouble, as an outage makes it, is told of each by its own name."""
    for _ in range(3):
        await accept(backend, vcon(), "in")
    entries = await read(backend, "in", 3)
    bury = Bury(Progress(), "main", "link:webhook", "Permanent", "refused")
    await backend.ledger.commit([Commit(entry, entry.uuid, then=bury) for entry in entries])
    letters = await backend.dead_letters.browse("in", after="", count=10)
    assert {letter.uuid for letter in letters} == {entry.uuid for entry in entries}


@pytest.mark.parametrize("lost", [False, True], ids=["reindexed", "read from a storage"])
async def test_what_was_counted_without_a_revision_is_counted_with_one(
    backend: RedisBackend, lost: bool
) -> None:
    """As an earlier version put a conserver's documents on lists."""
    entry, found = await begun(backend)
    client, name = backend.connections.commands, f"vconflow:vcon:{entry.uuid}"
    await client.execute_command("HDEL", name, "rev", "born", "idx")
    await asyncio.sleep(0.002)
    if lost:
        await client.execute_command("DEL", f"vcon:{entry.uuid}")
        await backend.documents.recache(entry.uuid, found.document or b"")
    else:
        await backend.documents.reindex()
    (found,) = await backend.documents.fetch([entry.uuid])
    done = await commit(backend, commit_of(entry, found, then=Finish(stored=("s",))))
    assert done == CommitResult(Verdict.DONE, found.rev)
    assert (await meta(backend, entry.uuid))["open"] == "0"
    assert 0 < await pttl(backend, f"vcon:{entry.uuid}") <= 3_600_000
