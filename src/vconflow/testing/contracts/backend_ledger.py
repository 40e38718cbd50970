"""What every backend has to do with commits and dead letters."""

from vconflow.model.entry import Entry
from vconflow.model.validation import validate
from vconflow.ports.dead_letters import DeadLetter
from vconflow.ports.documents import Search
from vconflow.ports.ledger import Bury, CommitResult, Defer, Finish, Progress, Target, Verdict
from vconflow.testing.contracts.backend_support import (
    Backend,
    BackendFixtures,
    BackendServer,
    accept,
    begun,
    commit,
    commit_of,
    fill,
    read,
    vcon,
)

__all__ = ["LedgerContract"]

_FAR = 4_000_000_000
"""Unix seconds, long after any test."""


def buried(progress: Progress | None = None) -> Bury:
    return Bury(progress or Progress(), "main", "link:webhook", "Permanent", "refused: ünïcode")


async def document_of(backend: Backend, uuid: str) -> bytes | None:
    (found,) = await backend.documents.fetch([uuid])
    return found.document


async def finish(backend: Backend, entry: Entry, **values: object) -> None:
    """Finish an entry with the document as it is."""
    (found,) = await backend.documents.fetch([entry.uuid])
    result = await commit(backend, commit_of(entry, found, then=Finish(**values)))  # type: ignore[arg-type]  # fields of Finish
    assert result.verdict is Verdict.DONE


async def dead(backend: Backend, count: int = 10, after: str = "") -> list[DeadLetter]:
    return await backend.dead_letters.browse("in", after=after, count=count)


class LedgerContract(BackendFixtures):
    """`Ledger` and `DeadLetters`."""

    async def test_finish_hands_on_and_acknowledges(self, one: Backend) -> None:
        entry, found = await begun(one)
        then = Finish("chain:main", (Target("out", False), Target("next", True)))
        assert (await commit(one, commit_of(entry, found, then=then))).verdict is Verdict.DONE

        depth = (await one.stream.depth(["in"]))["in"]
        assert (depth.waiting, depth.pending) == (0, 0)
        (passed,) = await read(one, "next")
        assert (passed.uuid, passed.origin, passed.counted) == (entry.uuid, "chain:main", "open")
        (popped,) = await one.egress.lease("out", 5)
        assert (popped.uuid, popped.counted) == (entry.uuid, "egress")
        assert await document_of(one, entry.uuid) == found.document
        again = commit_of(entry, found, then=then)
        assert (await commit(one, again)).verdict is Verdict.LOST

    async def test_a_document_expires_once_it_is_stored_and_nothing_works_on_it(
        self, server: BackendServer
    ) -> None:
        async with server.replica("short", document_ttl=1) as backend:
            twice, unstored, popped, dead_too, queued = [vcon() for _ in range(5)]
            await accept(backend, twice, "in", "also")
            await accept(backend, unstored, "in")
            await accept(backend, popped, "in")
            await accept(backend, dead_too, "in", "also")
            await accept(backend, queued, "in")
            entries = await read(backend, "in")
            also, dying = await read(backend, "also")
            (found,) = await backend.documents.fetch([dying.uuid])
            await commit(backend, commit_of(dying, found, then=buried()))
            await finish(backend, entries[0], stored=True)
            await finish(backend, entries[1])
            await finish(backend, entries[2], stored=True, targets=(Target("out", False),))
            await finish(backend, entries[3], stored=True)
            await finish(backend, entries[4], stored=True)
            assert await backend.intake.enqueue([entries[4].uuid], "more", "http") == [True]
            (more,) = await read(backend, "more")

            await server.let_pass(1.1)
            held = [await document_of(backend, entry.uuid) for entry in entries]
            assert held == [twice, unstored, None, dead_too, queued]
            await finish(backend, also, stored=True)
            await finish(backend, more, stored=True)
            await server.let_pass(1.1)
            assert await document_of(backend, more.uuid) is None
            (gone,) = await backend.documents.fetch([also.uuid])
            # The storage has it: so it is still known.
            assert (gone.document, gone.deleted) == (None, False)
            assert gone.rev > 0
            assert await backend.documents.search(Search(name="Ann"))
            await backend.documents.forget(also.uuid)
            await backend.documents.forget(dying.uuid)
            found_now = await backend.documents.search(Search(name="Ann"))
            assert also.uuid not in found_now
            assert dying.uuid in found_now

    async def test_expire_asked_for_by_a_link_forgets_the_vcon(
        self, one: Backend, server: BackendServer
    ) -> None:
        entry, _ = await begun(one)
        await finish(one, entry, expire_seconds=0)
        await server.let_pass(0.01)
        assert await document_of(one, entry.uuid) is None
        assert await one.documents.sweep(_FAR) == 1
        assert await one.documents.sweep(_FAR) == 0
        assert await one.documents.page(offset=0, limit=10, since=None, until=None) == []
        assert await one.documents.search(Search(name="Ann")) == []

    async def test_what_was_accepted_again_does_not_expire(
        self, one: Backend, server: BackendServer
    ) -> None:
        entry, found = await begun(one)
        await finish(one, entry, expire_seconds=1)
        assert found.document is not None
        again, _ = await begun(one, found.document)
        assert await one.documents.sweep(_FAR) == 0
        await finish(one, again)
        await server.let_pass(1.1)
        assert await document_of(one, entry.uuid) == found.document

    async def test_a_change_meanwhile_is_moved_and_changes_nothing(self, one: Backend) -> None:
        entry, found = await begun(one)
        newer = vcon(entry.uuid, subject="newer")
        receipt = await accept(one, newer)
        late = vcon(entry.uuid, subject="late")
        for then in (Finish(stored=True), Defer(Progress()), buried(), None):
            result = await commit(one, commit_of(entry, found, document=late, then=then))
            assert result == CommitResult(Verdict.MOVED, receipt.rev)
        assert (await one.stream.depth(["in"]))["in"].pending == 1
        assert await document_of(one, entry.uuid) == newer
        assert await dead(one) == []

    async def test_writing_moves_the_revision_and_the_index(self, one: Backend) -> None:
        entry, found = await begun(one)
        changed = vcon(entry.uuid, tel="+15550177")
        item = commit_of(entry, found, document=changed, facts=validate(changed))
        written = await commit(one, item)
        assert written.rev > found.rev
        (now,) = await one.documents.fetch([entry.uuid])
        assert (now.document, now.rev, now.born) == (changed, written.rev, found.born)
        assert await one.documents.search(Search(tel="+15550177")) == [entry.uuid]
        assert await one.documents.search(Search(tel="+15550100")) == []
        # The same commit again is based on a revision that is gone.
        assert (await commit(one, item)) == CommitResult(Verdict.MOVED, written.rev)

    async def test_whoever_moves_the_index_knows_where_it_was(self, one: Backend) -> None:
        entry, found = await begun(one)
        await accept(one, vcon(entry.uuid, tel="+15550155"))
        changed = vcon(entry.uuid, tel="+15550177")
        item = commit_of(entry, found, rev=0, document=changed, facts=validate(changed))
        assert (await commit(one, item)).verdict is Verdict.MOVED
        assert await one.documents.search(Search(tel="+15550155")) == [entry.uuid]

    async def test_who_lost_its_name_writes_nothing(self, server: BackendServer) -> None:
        """A process that was frozen for longer than its lease, and whose name a successor took."""
        async with server.replica("same") as late:
            entry, found = await begun(late)
            item = commit_of(entry, found, then=Finish(targets=(Target("out", False),)))
            await self.let_lease_pass(server)
            async with server.replica("same") as successor:
                assert successor.stream.consumer == late.stream.consumer
                assert (await commit(late, item)).verdict is Verdict.LOST
                assert await late.egress.lease("out", 1) == []
            # A hold that merely ran out displaces nobody.
            assert (await commit(late, item)).verdict is Verdict.DONE

    async def test_who_lost_the_entry_writes_nothing(
        self, one: Backend, two: Backend, server: BackendServer
    ) -> None:
        entry, found = await begun(one)
        await self.let_lease_pass(server)
        (taken,) = await two.stream.take_over("in", 10)
        assert taken.progress.crashes == 1
        changed = vcon(entry.uuid, tel="+15550177")
        for then in (
            Finish(targets=(Target("out", False),), expire_seconds=0),
            Finish(deleted=True),
            Defer(Progress()),
            buried(),
            None,
        ):
            item = commit_of(entry, found, document=changed, facts=validate(changed), then=then)
            assert (await commit(one, item)).verdict is Verdict.LOST
        assert await one.documents.fetch([entry.uuid]) == [found]
        assert await one.documents.search(Search(tel="+15550177")) == []
        assert await one.egress.lease("out", 1) == []
        assert await dead(one) == []
        assert (await one.stream.depth(["in"]))["in"].pending == 1
        assert (await commit(two, commit_of(entry, found, then=Finish()))).verdict is Verdict.DONE

    async def test_deleted_meanwhile_then_acknowledged(self, one: Backend) -> None:
        entry, found = await begun(one)
        await one.documents.delete(entry.uuid, None)
        for then in (Finish(stored=True), Defer(Progress()), buried(), None):
            assert (await commit(one, commit_of(entry, found, then=then))).verdict is (
                Verdict.DELETED
            )
        acked = await commit(one, commit_of(entry, found, then=Finish(deleted=True)))
        assert acked.verdict is Verdict.DONE
        assert (await one.stream.depth(["in"]))["in"].pending == 0
        (gone,) = await one.documents.fetch([entry.uuid])
        assert (gone.document, gone.deleted) == (None, True)

    async def test_a_deleted_vcon_whose_copies_stay_is_buried_when_insisted_on(
        self, one: Backend
    ) -> None:
        entry, found = await begun(one)
        await one.documents.delete(entry.uuid, None)
        bury = Bury(Progress(), "main", "storage:s", "Retryable", "away", even_deleted=True)
        assert (await commit(one, commit_of(entry, found, then=bury))).verdict is Verdict.DONE
        assert [letter.uuid for letter in await dead(one)] == [entry.uuid]
        assert (await one.stream.depth(["in"]))["in"].pending == 0
        assert await one.dead_letters.expire("in", _FAR * 1000, 10) == 1

    async def test_a_new_life_of_the_uuid_is_not_written_by_the_old_one(self, one: Backend) -> None:
        entry, found = await begun(one)
        await one.documents.delete(entry.uuid, None)
        new = vcon(entry.uuid, subject="new life")
        await accept(one, new)
        late = commit_of(entry, found, rev=0, document=vcon(entry.uuid))
        assert (await commit(one, late)).verdict is Verdict.DELETED
        assert await document_of(one, entry.uuid) == new

    async def test_going_on_with_another_vcon(self, one: Backend) -> None:
        entry, _ = await begun(one)
        other = vcon()
        uuid = validate(other).uuid
        await accept(one, other)
        (found,) = await one.documents.fetch([uuid])
        changed = vcon(uuid, subject="changed")
        then = Finish(targets=(Target("out", False),))
        item = commit_of(entry, found, uuid=uuid, document=changed, then=then)
        assert (await commit(one, item)).verdict is Verdict.DONE
        assert await document_of(one, uuid) == changed
        assert [popped.uuid for popped in await one.egress.lease("out", 5)] == [uuid]
        assert (await one.stream.depth(["in"]))["in"].pending == 0

    async def test_deferred_progress_comes_back_to_whoever_takes_over(
        self, one: Backend, two: Backend, server: BackendServer
    ) -> None:
        entry, found = await begun(one)
        progress = Progress(next_link="tag", attempts=2, stage="link:tag", due=_FAR * 1000)
        await commit(one, commit_of(entry, found, then=Defer(progress)))
        (own,) = await one.stream.recover("in", "", 10)
        assert own.progress == progress
        await self.let_lease_pass(server)
        (taken,) = await two.stream.take_over("in", 10)
        # It was waiting for a retry when its owner went away: no crash.
        assert taken.progress == progress

    async def test_burying_moves_the_entry_with_its_reason(self, one: Backend) -> None:
        entry, found = await begun(one)
        progress = Progress(next_link="webhook", storages=("s",), attempts=5, first_failure=1000)
        item = commit_of(entry, found, then=buried(progress))
        assert (await commit(one, item)).verdict is Verdict.DONE

        (letter,) = await dead(one)
        assert (letter.list, letter.uuid, letter.chain) == ("in", entry.uuid, "main")
        assert (letter.stage, letter.error_type) == ("link:webhook", "Permanent")
        assert (letter.error, letter.at, letter.origin) == ("refused: ünïcode", entry.at, "http")
        assert (letter.attempts, letter.first_failure) == (5, 1000)
        assert (letter.next_link, letter.storages) == ("webhook", ("s",))
        depth = (await one.stream.depth(["in"]))["in"]
        assert (depth.waiting, depth.pending, depth.dead) == (0, 0, 1)

    async def test_a_replay_goes_on_where_it_stopped(self, one: Backend) -> None:
        entry, found = await begun(one)
        progress = Progress(next_link="webhook", attempts=5, crashes=2, first_failure=1, due=7)
        await commit(one, commit_of(entry, found, then=buried(progress)))
        (letter,) = await dead(one)

        assert await one.dead_letters.replay("in", [letter.id, "1-1"]) == 1
        assert await dead(one) == []
        (again,) = await read(one, "in")
        assert (again.uuid, again.origin, again.counted) == (entry.uuid, "replay", "open")
        assert b'"next_link":"webhook"' in again.progress
        (resumed,) = await one.stream.recover("in", "", 10)
        assert resumed.progress == Progress(next_link="webhook", crashes=1)
        assert await one.dead_letters.replay("in", [letter.id]) == 0

    async def test_dead_letters_come_in_pages(self, one: Backend) -> None:
        uuids = await fill(one, "in", 5)
        for entry in await read(one, "in"):
            (found,) = await one.documents.fetch([entry.uuid])
            await commit(one, commit_of(entry, found, then=buried()))
        first = await dead(one, 3)
        rest = await dead(one, 3, first[-1].id)
        assert [letter.uuid for letter in first + rest] == uuids
        assert await dead(one, 3, rest[-1].id) == []

    async def test_an_expired_dead_letter_takes_its_document_along(self, one: Backend) -> None:
        entry, found = await begun(one)
        await commit(one, commit_of(entry, found, then=buried()))
        (letter,) = await dead(one)
        assert await one.dead_letters.expire("in", letter.last_failure, 10) == 0
        assert await one.dead_letters.expire("in", _FAR * 1000, 10) == 1
        assert await document_of(one, entry.uuid) is None
        assert await one.documents.search(Search(name="Ann")) == []
        assert await dead(one) == []

    async def test_an_expired_dead_letter_leaves_what_others_need(self, one: Backend) -> None:
        waiting, on_egress, _, _ = documents = [vcon() for _ in range(4)]
        for document in documents:
            await accept(one, document, "in", "also")
        for entry in await read(one, "in"):
            (found,) = await one.documents.fetch([entry.uuid])
            await commit(one, commit_of(entry, found, then=buried()))
        _, second, third, fourth = await read(one, "also")
        await finish(one, third, targets=(Target("out", False),))
        assert await one.egress.ack("out", await one.egress.lease("out", 1)) == 1
        await finish(one, second, targets=(Target("out", False),))
        await finish(one, fourth, stored=True)

        assert await one.dead_letters.expire("in", _FAR * 1000, 1) == 1
        assert await one.dead_letters.expire("in", _FAR * 1000, 10) == 3
        uuids = [validate(document).uuid for document in documents]
        assert [await document_of(one, uuid) for uuid in uuids] == [waiting, on_egress, None, None]
        # Still listed: the storage has it.
        listed = await one.documents.page(offset=0, limit=10, since=None, until=None)
        assert sorted(listed) == sorted([uuids[0], uuids[1], uuids[3]])

    async def test_items_of_a_batch_stand_alone(self, one: Backend) -> None:
        await fill(one, "in", 3)
        entries = await read(one, "in")
        found = await one.documents.fetch([entry.uuid for entry in entries])
        strange = Entry("1-1", "in", entries[0].uuid, 0)
        results = await one.ledger.commit(
            [
                commit_of(strange, found[0], then=Finish()),
                commit_of(entries[1], found[1], rev=1, then=Finish()),
                commit_of(entries[2], found[2], then=Finish()),
            ]
        )
        assert results == [
            CommitResult(Verdict.LOST),
            CommitResult(Verdict.MOVED, found[1].rev),
            CommitResult(Verdict.DONE, found[2].rev),
        ]
        assert (await one.stream.depth(["in"]))["in"].pending == 2
