"""Rules: entries are read, and whoever owns one or believes so commits it."""

import msgspec
from entry_books import DOCUMENT_TTL, LEASE, PARKED, UNIT, Item
from entry_ground import Ground, lists, slots, vcon
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from vconflow.model.entry import Entry
from vconflow.model.validation import validate
from vconflow.ports.history import HistoryRecord
from vconflow.ports.ledger import Bury, Commit, Defer, Finish, Progress, Target, Verdict
from vconflow.testing.contracts.backend import Backend

__all__ = ["CommitRules"]

Then = Finish | Defer | Bury | None

OUT, NEXT = Target("out", feeds=False), Target("next", feeds=True)
progresses = st.builds(Progress, next_link=st.sampled_from(["a", "b"]), attempts=st.integers(0, 3))
# Halves, so that no retry is due in the very moment in which a lease is renewed.
rests = st.sampled_from([0.0, UNIT / 2, LEASE + UNIT / 2, PARKED])
finishes = st.builds(
    Finish,
    targets=st.sampled_from([(), (OUT,), (NEXT,), (OUT, NEXT)]),
    stored=st.sampled_from([(), ("file",)]),
    expire_seconds=st.sampled_from([None, None, DOCUMENT_TTL // 3]),
)
burials = st.builds(
    Bury,
    progresses,
    chain=st.just("main"),
    stage=st.just("link:a"),
    error_type=st.just("Permanent"),
    error=st.just("no"),
    even_deleted=st.booleans(),
)
deferrals = st.one_of(progresses.map(Defer), progresses.map(Defer), st.none())
thens: st.SearchStrategy[Then] = st.one_of(finishes, deferrals, burials)
mostly = st.sampled_from([True, True, True, False])


class CommitRules(Ground):
    """Reading, and what becomes of what was read."""

    @rule(slot=slots, of=lists, budget=st.integers(1, 3))
    def read(self, slot: str, of: tuple[str, ...], budget: int) -> None:
        self.read_(slot, of, budget, lost=False)

    @precondition(lambda self: self.books.at("waiting"))
    @rule(slot=slots, of=lists)
    def read_but_lose_the_answer(self, slot: str, of: tuple[str, ...]) -> None:
        self.read_(slot, of, 1, lost=True)

    @precondition(lambda self: self.books.at("pending"))
    @rule(data=st.data(), then=finishes, writes=st.booleans(), fresh=mostly)
    def finish(self, data: st.DataObject, then: Finish, writes: bool, fresh: bool) -> None:
        self.commit_as_owner(data, then, 0.0, writes, fresh)

    @precondition(lambda self: self.books.at("pending"))
    @rule(data=st.data(), then=burials, writes=st.booleans(), fresh=mostly)
    def bury(self, data: st.DataObject, then: Bury, writes: bool, fresh: bool) -> None:
        self.commit_as_owner(data, then, 0.0, writes, fresh)

    @precondition(lambda self: self.books.at("pending"))
    @rule(data=st.data(), then=deferrals, rest=rests, writes=st.booleans(), fresh=mostly)
    def defer(
        self, data: st.DataObject, then: Defer | None, rest: float, writes: bool, fresh: bool
    ) -> None:
        self.commit_as_owner(data, then, rest, writes, fresh)

    def commit_as_owner(
        self, data: st.DataObject, then: Then, rest: float, writes: bool, fresh: bool
    ) -> None:
        """Whoever owns an entry commits it, on what it saw last or sees now."""
        item = data.draw(st.sampled_from(self.books.at("pending")))
        owners = [it for it in self.replicas if it.stream.consumer == item.owner]
        backend = data.draw(st.sampled_from(owners))
        self.commit_(self.entry(item), backend, then, rest, writes, fresh)

    @precondition(lambda self: self.begun)
    @rule(data=st.data(), then=thens, rest=rests, writes=st.booleans())
    def commit_late(self, data: st.DataObject, then: Then, rest: float, writes: bool) -> None:
        """Any replica, dead or alive, commits any entry ever begun."""
        entry = data.draw(st.sampled_from(self.begun))
        self.commit_(entry, data.draw(st.sampled_from(self.replicas)), then, rest, writes, True)

    @precondition(lambda self: self.begun)
    @rule(data=st.data())
    def acknowledge_deleted(self, data: st.DataObject) -> None:
        gone = [e for e in self.begun if not self.books.vcons[e.uuid].alive]
        if gone:
            entry = data.draw(st.sampled_from(gone))
            commit = Commit(entry, entry.uuid, then=Finish(deleted=True))
            self.settle(data.draw(st.sampled_from(self.replicas)), commit, "")

    def entry(self, item: Item) -> Entry:
        return next(e for e in self.begun if (e.list, e.id) == (item.list, item.id))

    def commit_(
        self, entry: Entry, backend: Backend, then: Then, rest: float, writes: bool, fresh: bool
    ) -> None:
        book = self.books.vcons[entry.uuid]
        if fresh:
            self.see(book)
        if (book.alive and book.document is None) or book.seen is None or not book.seen.rev:
            return  # nobody commits what it could not load
        if isinstance(then, Defer):
            then = Defer(self.resting(then.progress, rest))
        self.tels += writes
        tel = f"+1555{self.tels:07}"
        document = vcon(book.uuid, tel) if writes else None
        # Every second one says itself which revision it will be.
        new_rev = book.seen.rev + 1 if writes and self.tels % 2 else 0
        commit = Commit(
            entry,
            entry.uuid,
            book.seen.rev if writes or isinstance(then, Finish) else 0,
            book.seen.born,
            document,
            validate(document) if document else None,
            book.seen.index,
            then,
            HistoryRecord(kind="failed", entry=entry.id),
            new_rev,
        )
        self.settle(backend, commit, tel)

    def resting(self, progress: Progress, rest: float) -> Progress:
        if rest == PARKED:
            return msgspec.structs.replace(progress, parked=("storage:s",))
        due = int((self.server.now() + rest) * 1000) if rest else 0
        return msgspec.structs.replace(progress, due=due)

    def settle(self, backend: Backend, commit: Commit, tel: str) -> None:
        books, book, entry = self.books, self.books.vcons[commit.uuid], commit.entry
        item = books.find(entry.list, entry.id)
        name = backend.stream.consumer
        owns = item is not None and item.owner == name and not books.displaced(name, backend)
        verdict, outlived = books.verdict(commit, owns), books.outlived(commit)
        before = None if verdict is Verdict.DONE else self.server.snapshot()
        (result,) = self.run_(backend.ledger.commit([commit]))
        assert not isinstance(result, Exception)
        assert result.verdict is verdict
        if item is None or verdict is not Verdict.DONE:
            assert self.server.snapshot() == before
            return
        if commit.document is not None and not outlived:
            assert result.rev == commit.new_rev or not commit.new_rev
            book.write(result.rev, commit.document, tel)
        if isinstance(commit.then, Defer):
            progress = commit.then.progress
            item.rests_until = progress.rests_until / 1000
            if 0 < item.rests_until < PARKED:
                item.rests_until += books.now - self.server.now()
                item.rests_until = round(item.rests_until / UNIT * 2) * UNIT / 2
        books.done(commit, item)
