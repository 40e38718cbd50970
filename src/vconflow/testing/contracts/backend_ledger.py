"""What every backend has to do with commits."""

import msgspec

from vconflow.model.entry import Entry
from vconflow.model.validation import validate
from vconflow.ports.documents import Search
from vconflow.ports.intake import Enqueued, Enqueuing
from vconflow.ports.ledger import Bury, CommitResult, Defer, Finish, Progress, Target, Verdict
from vconflow.testing.contracts.backend_support import (
    FAR,
    Backend,
    BackendFixtures,
    BackendServer,
    accept,
    begun,
    buried,
    commit,
    commit_of,
    dead,
    document_of,
    fill,
    read,
    vcon,
)

__all__ = ["LedgerContract"]


class LedgerContract(BackendFixtures):
    """`Ledger`."""

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

    async def test_a_trace_goes_along(self, one: Backend) -> None:
        entry, found = await begun(one)
        begins = Finish(targets=(Target("next", True),), trace="00-1-2-01")
        assert (await commit(one, commit_of(entry, found, then=begins))).verdict is Verdict.DONE
        (passed,) = await read(one, "next")
        goes_on = Finish(targets=(Target("last", True),))
        assert (await commit(one, commit_of(passed, found, then=goes_on))).verdict is Verdict.DONE
        (last,) = await read(one, "last")
        assert (entry.trace, passed.trace, last.trace) == ("", "00-1-2-01", "00-1-2-01")

    async def test_a_change_meanwhile_is_moved_and_changes_nothing(self, one: Backend) -> None:
        entry, found = await begun(one)
        newer = vcon(entry.uuid, subject="newer")
        receipt = await accept(one, newer)
        late = vcon(entry.uuid, subject="late")
        for then in (Finish(stored=("s",)), Defer(Progress()), buried(), None):
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

    async def test_whoever_is_ahead_says_which_revision_it_will_be(self, one: Backend) -> None:
        entry, found = await begun(one)
        changed = vcon(entry.uuid, subject="x")
        item = commit_of(entry, found, document=changed, new_rev=found.rev + 1, then=Finish())
        stale = msgspec.structs.replace(item, rev=found.rev - 1)
        assert (await commit(one, stale)) == CommitResult(Verdict.MOVED, found.rev)
        assert (await commit(one, item)) == CommitResult(Verdict.DONE, found.rev + 1)
        (now,) = await one.documents.fetch([entry.uuid])
        assert (now.document, now.rev, now.born) == (changed, found.rev + 1, found.born)
        assert (await accept(one, vcon(entry.uuid))).rev > now.rev

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
        for then in (Finish(stored=("s",)), Defer(Progress()), buried(), None):
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
        assert await one.dead_letters.expire("in", FAR * 1000, 10) == 1

    async def test_a_new_life_of_the_uuid_is_not_written_by_the_old_one(self, one: Backend) -> None:
        entry, found = await begun(one)
        await one.documents.delete(entry.uuid, None)
        new = vcon(entry.uuid, subject="new life")
        await accept(one, new)
        late = commit_of(entry, found, rev=0, document=vcon(entry.uuid))
        assert (await commit(one, late)).verdict is Verdict.DELETED
        assert await document_of(one, entry.uuid) == new

    async def test_what_a_conserver_left_is_not_written_over_what_replaced_it(
        self, one: Backend, server: BackendServer
    ) -> None:
        await server.leave(left := vcon())
        uuid = validate(left).uuid
        assert await one.intake.enqueue(Enqueuing([uuid], "in")) == Enqueued([True])
        (entry,) = await read(one, "in")
        (found,) = await one.documents.fetch([uuid])
        await accept(one, newer := vcon(uuid, subject="newer"))
        late = commit_of(entry, found, document=vcon(uuid, subject="late"))
        stored = commit_of(entry, found, then=Finish(stored=("s",)))
        for item in (late, stored):
            assert (await commit(one, item)).verdict is Verdict.MOVED
        await one.documents.delete(uuid, None)
        await accept(one, newer)
        for item in (late, stored):
            assert (await commit(one, item)).verdict is Verdict.DELETED
        assert await document_of(one, uuid) == newer

    async def test_what_had_no_revision_takes_nothing_from_what_has_one(self, one: Backend) -> None:
        entry, found = await begun(one)
        for values in ({"document": vcon(entry.uuid)}, {"then": Finish(stored=("s",))}):
            item = commit_of(entry, found, rev=0, born=0, **values)
            assert await commit(one, item) == CommitResult(Verdict.MOVED, found.rev)
        assert await document_of(one, entry.uuid) == found.document
        # Nor from another vCon than its own.
        for uuid in await fill(one, "other", 5):
            (other,) = await one.documents.fetch([uuid])
            for values in ({"document": vcon(uuid)}, {"then": Finish(stored=("s",))}):
                item = commit_of(entry, other, uuid=uuid, rev=0, born=0, **values)
                assert await commit(one, item) == CommitResult(Verdict.MOVED, other.rev)

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
        progress = Progress(next_link="tag", attempts=2, stage="link:tag", due=FAR * 1000)
        await commit(one, commit_of(entry, found, then=Defer(progress)))
        (own,) = await one.stream.recover("in", "", 10)
        assert own.progress == progress
        await self.let_lease_pass(server)
        (taken,) = await two.stream.take_over("in", 10)
        # It was waiting for a retry when its owner went away: no crash.
        assert taken.progress == progress

    async def test_a_parked_entry_does_not_crash_with_its_owner(
        self, one: Backend, two: Backend, server: BackendServer
    ) -> None:
        entry, found = await begun(one)
        progress = Progress(next_link="tag", parked=("link:tag",), due=1)
        await commit(one, commit_of(entry, found, then=Defer(progress)))
        await self.let_lease_pass(server)
        (taken,) = await two.stream.take_over("in", 10)
        assert (taken.progress.parked, taken.progress.crashes) == (("link:tag",), 0)
        running = Progress(next_link="tag", due=1)
        await commit(two, commit_of(entry, found, then=Defer(running)))
        await self.let_lease_pass(server)
        (again,) = await one.stream.take_over("in", 10)
        assert (again.progress.parked, again.progress.crashes) == (("crash",), 1)

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
