"""What every backend has to remember of what happened to a vCon."""

import msgspec

from vconflow.model.entry import Entry
from vconflow.model.validation import validate
from vconflow.ports.history import HistoryRecord, StepTime
from vconflow.ports.intake import Enqueuing
from vconflow.ports.ledger import Commit, Defer, Finish, Progress, Target, Verdict
from vconflow.testing.contracts.backend_support import (
    Backend,
    BackendFixtures,
    accept,
    acceptance,
    begun,
    buried,
    commit,
    commit_of,
    dead,
    read,
    vcon,
)

__all__ = ["HistoryContract"]

_MOST = 100


async def kinds(backend: Backend, uuid: str) -> list[str]:
    return [record.kind for record in await backend.history.of(uuid)]


class HistoryContract(BackendFixtures):
    """`History`, and who appends to it."""

    async def test_a_vcon_that_nobody_knows_has_none(self, one: Backend) -> None:
        assert list(await one.history.of(validate(vcon()).uuid)) == []

    async def test_accepting_is_remembered(self, one: Backend) -> None:
        item = msgspec.structs.replace(
            acceptance(vcon(), "in", "other"), owner="main", source="bulk"
        )
        await one.intake.accept([item])
        (record,) = await one.history.of(item.facts.uuid)
        assert record == HistoryRecord(
            kind="accepted",
            at=record.at,
            uuid=item.facts.uuid,
            lists=("in", "other"),
            source="bulk",
            owner="main",
            replica="one",
        )
        assert record.at > 1_600_000_000_000

    async def test_what_a_chain_did_goes_with_the_commit(self, one: Backend) -> None:
        entry, found = await begun(one)
        record = HistoryRecord(
            kind="completed",
            chain="main",
            list="in",
            entry=entry.id,
            lists=("out",),
            links=(StepTime("tag", 0.25, "continue"),),
            storages=(StepTime("file", 1.5),),
        )
        then = Finish("chain:main", (Target("out", feeds=False),))
        await commit(one, commit_of(entry, found, then=then, record=record))
        _, held = await one.history.of(entry.uuid)
        assert msgspec.structs.replace(held, at=0, uuid="", replica="") == record
        assert (held.uuid, held.replica) == (entry.uuid, "one")

    async def test_a_commit_that_was_refused_leaves_no_trace(self, one: Backend) -> None:
        entry, found = await begun(one)
        moved = commit_of(entry, found, rev=found.rev + 1, then=Finish(), record=completed(entry))
        assert (await commit(one, moved)).verdict is Verdict.MOVED
        lost = Commit(
            msgspec.structs.replace(entry, id="1-1"),
            entry.uuid,
            then=Finish(),
            record=completed(entry),
        )
        assert (await commit(one, lost)).verdict is Verdict.LOST
        assert await kinds(one, entry.uuid) == ["accepted"]

    async def test_a_vcon_that_replaced_another_has_it_too(self, one: Backend) -> None:
        entry, _ = await begun(one)
        other = vcon()
        uuid = validate(other).uuid
        await accept(one, other)
        (found,) = await one.documents.fetch([uuid])
        item = commit_of(entry, found, uuid=uuid, then=Finish(), record=completed(entry))
        assert (await commit(one, item)).verdict is Verdict.DONE
        assert await kinds(one, entry.uuid) == ["accepted", "completed"]
        assert await kinds(one, uuid) == ["accepted", "completed"]

    async def test_the_whole_life(self, one: Backend) -> None:
        entry, found = await begun(one)
        failed = HistoryRecord(kind="failed", error="no")
        again = commit_of(entry, found, then=Defer(Progress(attempts=1)), record=failed)
        await commit(one, again)
        gone = HistoryRecord(kind="dead-lettered", error="no")
        await commit(one, commit_of(entry, found, then=buried(), record=gone))
        (letter,) = await dead(one)
        await one.dead_letters.replay("in", [letter.id])
        (entry,) = await read(one, "in")
        then = Finish("chain:main", (Target("out", feeds=False),))
        await commit(one, commit_of(entry, found, then=then, record=completed(entry)))
        leased = await one.egress.lease("out", 1)
        await one.egress.ack("out", leased)
        await one.intake.enqueue(Enqueuing([entry.uuid], "in"))
        await one.documents.delete(entry.uuid, None)
        await one.documents.delete(entry.uuid, None)
        happened = ["failed", "dead-lettered", "replayed", "completed", "handed-out"]
        assert await kinds(one, entry.uuid) == ["accepted", *happened, "enqueued", "deleted"]

    async def test_a_lease_that_is_over_hands_nothing_out(self, one: Backend) -> None:
        await accept(one, vcon(), "out")
        leased = await one.egress.lease("out", 1)
        await one.egress.ack("out", leased)
        await one.egress.ack("out", leased)
        assert await kinds(one, leased[0].uuid) == ["accepted", "handed-out"]

    async def test_the_first_record_and_the_newest_are_kept(self, one: Backend) -> None:
        entry, found = await begun(one)
        for number in range(_MOST + 20):
            record = HistoryRecord(kind="failed", attempts=number)
            then = Defer(Progress(attempts=number))
            await commit(one, commit_of(entry, found, then=then, record=record))
        first, *newest = await one.history.of(entry.uuid)
        assert first.kind == "accepted"
        assert [record.attempts for record in newest] == list(range(21, _MOST + 20))


def completed(entry: Entry) -> HistoryRecord:
    """A record of a chain that went through."""
    return HistoryRecord(kind="completed", entry=entry.id)
