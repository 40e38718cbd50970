"""Whatever happens in whatever order: no vCon is lost, and none is in two places."""

import asyncio
import copy
import json
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vconflow.model.entry import Entry
from vconflow.model.identifiers import new_uuid
from vconflow.model.validation import validate
from vconflow.ports.documents import Document
from vconflow.ports.intake import Acceptance, Receipt
from vconflow.ports.ledger import Bury, Commit, Defer, Finish, Progress, Target, Verdict
from vconflow.ports.stream import Displaced, ReadRequest, Resumed
from vconflow.testing.memory import ManualClock, MemoryBackend, MemoryServer

LEASE = 10
ResultT = TypeVar("ResultT")

seconds = st.integers(1, 2 * LEASE)
slots = st.sampled_from(["one", "two"])
thens: st.SearchStrategy[Finish | Defer | Bury | None] = st.sampled_from(
    [
        Finish(),
        Finish(targets=(Target("out", False),)),
        Defer(Progress(next_link="a")),
        Bury(Progress(next_link="a"), "main", "link:a", "Permanent", "no"),
        None,
    ]
)


def vcon(uuid: str, tel: str) -> bytes:
    parties = [{"tel": tel, "name": "Ann"}]
    created_at = "2025-03-21T06:59:56Z"
    return json.dumps(
        {"vcon": "0.0.1", "uuid": uuid, "created_at": created_at, "parties": parties}
    ).encode()


class BackendMachine(RuleBasedStateMachine):
    """Drives replicas, of which some are dead and do not know it, and keeps its own books."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.server = MemoryServer(self.clock)
        self.replicas: list[MemoryBackend] = []
        self.holds: dict[str, tuple[MemoryBackend, float]] = {}
        self.slots = {name: self.open(name) for name in ("one", "two")}
        self.place: dict[str, str] = {}
        self.revs: dict[str, int] = {}
        self.seen: dict[str, Document] = {}
        self.began: list[Entry] = []
        self.leases: dict[str, tuple[str, float]] = {}
        self.tels = 0

    def teardown(self) -> None:
        self.runner.close()

    def run_(self, call: Coroutine[Any, Any, ResultT]) -> ResultT:
        return self.runner.run(call)

    def open(self, name: str) -> MemoryBackend:
        backend = self.server.replica(name, lease=LEASE)
        assert self.holder(backend) is None
        self.replicas.append(backend)
        self.hold(backend)
        return backend

    def hold(self, backend: MemoryBackend) -> None:
        self.holds[backend.stream.consumer] = (backend, self.clock.now() + LEASE)

    def holder(self, backend: MemoryBackend) -> MemoryBackend | None:
        """Who holds the name of a replica: often its successor."""
        holder, until = self.holds.get(backend.stream.consumer, (None, 0.0))
        return holder if until > self.clock.now() else None

    def found(self, uuid: str) -> Document:
        (document,) = self.run_(self.slots["one"].documents.fetch([uuid]))
        return document

    def snapshot(self) -> object:
        store = self.server.store
        kept = (store.vcons.documents, store.vcons.metas, store.vcons.index)
        return copy.deepcopy(
            (
                [dict(part.items()) for part in kept],
                store.vcons.created,
                store.vcons.last_copies,
                store.lists,
                store.dead,
            )
        )

    def new_document(self, uuid: str) -> bytes:
        self.tels += 1
        return vcon(uuid, f"+1555{self.tels:07}")

    def accept(self, uuid: str, *lists: str) -> None:
        document = self.new_document(uuid)
        acceptance = Acceptance(validate(document), document, lists)
        (receipt,) = self.run_(self.slots["one"].intake.accept([acceptance]))
        assert isinstance(receipt, Receipt)
        assert receipt.rev > self.revs.get(uuid, 0)
        self.revs[uuid] = receipt.rev

    def lease(self, entry_id: str, backend: MemoryBackend) -> None:
        self.leases[entry_id] = (backend.stream.consumer, self.clock.now())

    def owned(self, backend: MemoryBackend) -> list[str]:
        name = backend.stream.consumer
        return [entry_id for entry_id, (owner, _) in self.leases.items() if owner == name]

    def owns(self, backend: MemoryBackend, entry: Entry) -> bool:
        return entry.id in self.owned(backend) and self.holder(backend) in (None, backend)

    def resumed(self, backend: MemoryBackend, expected: list[str], got: list[Resumed]) -> None:
        assert [item.entry.id for item in got] == expected
        for entry_id in expected:
            self.lease(entry_id, backend)

    def alive(self, *places: str) -> list[str]:
        return [uuid for uuid, place in self.place.items() if place in places]

    @rule()
    def accept_new(self) -> None:
        uuid = new_uuid()
        self.accept(uuid, "in")
        self.place[uuid] = "waiting"
        self.seen[uuid] = self.found(uuid)

    @precondition(lambda self: self.alive("waiting", "pending", "dead", "out", "finished"))
    @rule(data=st.data())
    def replace(self, data: st.DataObject) -> None:
        """Somebody else writes the document."""
        places = ("waiting", "pending", "dead", "out", "finished")
        self.accept(data.draw(st.sampled_from(self.alive(*places))))

    @precondition(lambda self: self.alive("waiting", "pending", "dead", "out", "finished"))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        places = ("waiting", "pending", "dead", "out", "finished")
        uuid = data.draw(st.sampled_from(self.alive(*places)))
        assert self.run_(self.slots["two"].documents.delete(uuid, None))
        self.place[uuid] = "deleted"
        self.revs[uuid] = self.found(uuid).rev

    @rule(slot=slots, budget=st.integers(1, 3))
    def read(self, slot: str, budget: int) -> None:
        backend = self.slots[slot]
        for entry in self.run_(backend.stream.read([ReadRequest(("in",), budget)], budget, 0)):
            assert entry.id not in self.leases
            self.began.append(entry)
            self.lease(entry.id, backend)
            self.seen[entry.uuid] = self.found(entry.uuid)
            if self.place[entry.uuid] != "deleted":
                self.place[entry.uuid] = "pending"

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), then=thens, writes=st.booleans(), fresh=st.booleans())
    def commit(
        self, data: st.DataObject, then: Finish | Defer | Bury | None, writes: bool, fresh: bool
    ) -> None:
        """Whoever owns an entry commits it, on what it saw last or sees now."""
        entry_id, (owner, _) = data.draw(st.sampled_from(sorted(self.leases.items())))
        owners = [backend for backend in self.replicas if backend.stream.consumer == owner]
        backend = owners[-1] if data.draw(st.booleans()) else data.draw(st.sampled_from(owners))
        entry = next(entry for entry in self.began if entry.id == entry_id)
        self.commit_(entry, backend, then, writes, fresh)

    @precondition(lambda self: self.began)
    @rule(data=st.data(), then=thens, writes=st.booleans())
    def commit_late(
        self, data: st.DataObject, then: Finish | Defer | Bury | None, writes: bool
    ) -> None:
        """Any replica, dead or alive, commits any entry ever begun."""
        entry = data.draw(st.sampled_from(self.began))
        self.commit_(entry, data.draw(st.sampled_from(self.replicas)), then, writes, True)

    def commit_(
        self,
        entry: Entry,
        backend: MemoryBackend,
        then: Finish | Defer | Bury | None,
        writes: bool,
        fresh: bool,
    ) -> None:
        if fresh:
            self.seen[entry.uuid] = self.found(entry.uuid)
        seen = self.seen[entry.uuid]
        document = self.new_document(entry.uuid) if writes else None
        item = Commit(
            entry,
            entry.uuid,
            seen.rev,
            seen.born,
            document,
            validate(document) if document else None,
            seen.index,
            then,
        )
        verdict = self.expected(entry, seen, backend)
        self.settle(backend, item, verdict)

    def expected(self, entry: Entry, seen: Document, backend: MemoryBackend) -> Verdict:
        if not self.owns(backend, entry):
            return Verdict.LOST
        if self.place[entry.uuid] == "deleted":
            return Verdict.DELETED
        return Verdict.DONE if seen.rev == self.revs[entry.uuid] else Verdict.MOVED

    def settle(self, backend: MemoryBackend, item: Commit, verdict: Verdict) -> None:
        before, uuid = self.snapshot(), item.entry.uuid
        (result,) = self.run_(backend.ledger.commit([item]))
        assert not isinstance(result, Exception)
        assert result.verdict is verdict
        if verdict is not Verdict.DONE:
            assert self.snapshot() == before
            return
        assert (result.rev > self.revs[uuid]) == (item.document is not None)
        assert result.rev >= self.revs[uuid]
        self.revs[uuid] = result.rev
        match item.then:
            case Finish() as finish:
                self.place[uuid] = "out" if finish.targets else "finished"
                del self.leases[item.entry.id]
            case Bury():
                self.place[uuid] = "dead"
                del self.leases[item.entry.id]

    @precondition(lambda self: any(self.place[entry.uuid] == "deleted" for entry in self.began))
    @rule(data=st.data())
    def acknowledge_deleted(self, data: st.DataObject) -> None:
        deleted = [entry for entry in self.began if self.place[entry.uuid] == "deleted"]
        entry = data.draw(st.sampled_from(deleted))
        backend = data.draw(st.sampled_from(self.replicas))
        before, owned = self.snapshot(), self.owns(backend, entry)
        item = Commit(entry, entry.uuid, then=Finish(deleted=True))
        (result,) = self.run_(backend.ledger.commit([item]))
        assert not isinstance(result, Exception)
        assert result.verdict is (Verdict.DONE if owned else Verdict.LOST)
        if owned:
            del self.leases[entry.id]
        else:
            assert self.snapshot() == before

    @rule(by=seconds)
    def time_passes(self, by: int) -> None:
        self.run_(self.clock.advance(by))

    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        backend = data.draw(st.sampled_from(self.replicas))
        ids, own = list(self.leases), self.owned(backend)
        if self.holder(backend) not in (None, backend):
            with pytest.raises(Displaced):
                self.run_(backend.stream.renew({"in": ids}))
            return
        lost = self.run_(backend.stream.renew({"in": ids}))
        self.hold(backend)
        assert lost == [("in", entry_id) for entry_id in ids if entry_id not in own]
        for entry_id in own:
            self.lease(entry_id, backend)

    @rule(slot=slots)
    def die_and_come_back(self, slot: str) -> None:
        """The next life works under the same name only if nobody can hold it any more."""
        backend = self.slots[slot] = self.open(slot)
        own = sorted(self.owned(backend), key=lambda id_: tuple(map(int, id_.split("-"))))
        self.resumed(backend, own, self.run_(backend.stream.recover("in", "", 1000)))

    @rule(slot=slots)
    def take_over(self, slot: str) -> None:
        backend, now = self.slots[slot], self.clock.now()
        free = [entry_id for entry_id, (_, at) in self.leases.items() if now - at >= LEASE]
        free.sort(key=lambda id_: tuple(map(int, id_.split("-"))))
        self.resumed(backend, free, self.run_(backend.stream.take_over("in", 1000)))

    @rule(slot=slots)
    def hand_over(self, slot: str) -> None:
        backend = self.slots[slot]
        self.run_(backend.stream.hand_over({"in": list(self.leases)}))
        if self.holder(backend) not in (None, backend):
            return
        for entry_id in self.owned(backend):
            self.leases[entry_id] = (backend.stream.consumer, self.clock.now() - LEASE)

    @precondition(lambda self: self.alive("dead"))
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        letters = self.run_(self.slots["one"].dead_letters.browse("in", after="", count=1000))
        letter = data.draw(st.sampled_from(letters))
        assert self.run_(self.slots["two"].dead_letters.replay("in", [letter.id])) == 1
        assert self.run_(self.slots["one"].dead_letters.replay("in", [letter.id])) == 0
        if self.place[letter.uuid] != "deleted":
            self.place[letter.uuid] = "waiting"

    @precondition(lambda self: self.alive("out"))
    @rule()
    def pop(self) -> None:
        egress = self.slots["one"].egress
        popped = self.run_(egress.lease("out", 1000))
        assert self.run_(egress.ack("out", popped)) == len(popped)
        for entry in popped:
            if self.place[entry.uuid] != "deleted":
                self.place[entry.uuid] = "finished"

    @invariant()
    def every_vcon_is_in_exactly_one_place(self) -> None:
        store = self.server.store
        into, out, dead = store.list("in"), store.list("out"), store.dead_list("in")
        places = {
            "waiting": Counter(entry.uuid for entry in into.waiting.values()),
            "pending": Counter(held.entry.uuid for held in into.pending.values()),
            "dead": Counter(held.letter.uuid for held in dead.letters.values()),
            "out": Counter(entry.uuid for entry in out.waiting.values()),
        }
        for uuid, expected in self.place.items():
            found = [name for name, uuids in places.items() for _ in range(uuids[uuid])]
            if expected == "deleted":
                assert len(found) <= 1
            else:
                assert found == ([] if expected == "finished" else [expected])
                meta = store.vcons.metas.get(uuid)
                assert meta is not None
                assert meta.open == sum(
                    found.count(name) for name in ("waiting", "pending", "dead")
                )
                assert meta.egress == found.count("out")

    @invariant()
    def documents_stay_and_revisions_grow(self) -> None:
        found = self.run_(self.slots["one"].documents.fetch(list(self.place)))
        for (uuid, place), document in zip(self.place.items(), found, strict=True):
            assert document.rev == self.revs[uuid]
            assert document.deleted == (place == "deleted")
            assert (document.document is None) == (place == "deleted")

    @invariant()
    def whoever_owns_an_entry_is_the_only_one(self) -> None:
        pending = self.server.store.list("in").pending
        assert {entry_id: held.owner for entry_id, held in pending.items()} == {
            entry_id: owner for entry_id, (owner, _) in self.leases.items()
        }


TestBackendStateMachine = BackendMachine.TestCase
TestBackendStateMachine.settings = settings(max_examples=120, stateful_step_count=60, deadline=None)
