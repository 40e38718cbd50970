"""What the rules of the state machine share: replicas, vCons, and who has seen what."""

import asyncio
import json
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import msgspec
from entry_books import UNIT, Books, Item, VconBook
from entry_servers import LISTS, UnderMachine
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from vconflow.model.entry import Entry
from vconflow.model.identifiers import new_uuid
from vconflow.model.validation import validate
from vconflow.ports.intake import Acceptance, Ownership, Receipt
from vconflow.ports.stream import ReadRequest
from vconflow.testing.contracts.backend import Backend

__all__ = ["Ground", "in_order", "lists", "slots", "vcon"]

ResultT = TypeVar("ResultT")

slots = st.sampled_from(["one", "two"])
lists = st.sampled_from([("in",), ("next",), LISTS])


def vcon(uuid: str, tel: str) -> bytes:
    parties = [{"tel": tel, "name": "Ann"}]
    created_at = "2025-03-21T06:59:56Z"
    return json.dumps(
        {"vcon": "0.0.1", "uuid": uuid, "created_at": created_at, "parties": parties}
    ).encode()


class Ground(RuleBasedStateMachine):
    """Two replicas on a server, and the books. `replicas` are all there ever were."""

    def __init__(self, server: UnderMachine) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.server = server
        self.books = Books()
        self.replicas: list[Backend] = []
        self.slots: dict[str, Backend] = {}
        self.begun: list[Entry] = []
        self.popped: list[Entry] = []
        self.asked: list[tuple[Acceptance, int]] = []
        self.tels = 0
        for name in ("one", "two"):
            self.slots[name] = self.open(name)
        for _ in range(3):
            self.accept(new_uuid(), "in")
        self.read_("one", ("in",), 2, lost=False)

    def teardown(self) -> None:
        try:
            self.check_histories()
        finally:
            self.close()

    def check_histories(self) -> None:
        """Each vCon remembers all that happened to it, or the most of it that is kept."""
        history = self.slots["one"].history
        for book in self.books.vcons.values():
            assert len(self.run_(history.of(book.uuid))) == min(book.records, 100)

    def close(self) -> None:
        self.run_(self.server.close())
        self.runner.close()

    def run_(self, call: Coroutine[Any, Any, ResultT]) -> ResultT:
        return self.runner.run(call)

    def open(self, name: str) -> Backend:
        expected = self.books.free_name(name)
        backend = self.run_(self.server.open(name))
        assert backend.stream.consumer == expected
        self.books.hold(expected, backend)
        self.replicas.append(backend)
        return backend

    def let_pass(self, by: float) -> None:
        self.run_(self.server.let_pass(by))
        self.books.pass_time(by)

    def book(self, data: st.DataObject, *, alive: bool) -> VconBook:
        return data.draw(
            st.sampled_from([v for v in self.books.vcons.values() if v.alive == alive])
        )

    def any_alive(self) -> bool:
        return any(vcon.alive for vcon in self.books.vcons.values())

    def begin_life(self) -> None:
        """Ids of entries tell lives of a uuid apart by the millisecond."""
        self.let_pass(UNIT)

    def accept(self, uuid: str, *to: str) -> None:
        self.accept_(self.acceptance(uuid, to))

    def acceptance(self, uuid: str, to: tuple[str, ...], **values: Any) -> Acceptance:
        self.tels += 1
        document = vcon(uuid, f"+1555{self.tels:07}")
        return Acceptance(validate(document), document, to, **values)

    def with_fingerprint(self, item: Acceptance, fingerprint: str) -> Acceptance:
        assert item.idempotency is not None
        other = msgspec.structs.replace(item.idempotency, fingerprint=fingerprint)
        return msgspec.structs.replace(item, idempotency=other)

    def accept_(self, item: Acceptance) -> int:
        """Accept what is not refused; its revision."""
        (receipt,) = self.run_(self.slots["one"].intake.accept([item]))
        assert isinstance(receipt, Receipt)
        assert not receipt.repeated
        uuid = item.facts.uuid
        book = self.books.vcons.setdefault(uuid, VconBook(uuid))
        keeps = item.ownership is Ownership.KEEP and book.alive
        book.owner = book.owner if keeps else item.owner
        book.accepted(receipt.rev, item.document, item.facts.tels[0])
        for name in item.lists:
            self.books.add(uuid, name)
        self.see(book)
        return receipt.rev

    def see(self, book: VconBook) -> None:
        (book.seen,) = self.run_(self.slots["one"].documents.fetch([book.uuid]))

    def read_(self, slot: str, of: tuple[str, ...], budget: int, *, lost: bool) -> None:
        """Each entry in its turn; with `lost`, the replica is not told."""
        backend, books = self.slots[slot], self.books
        waiting = [item for name in of for item in books.at("waiting", of=name)]
        entries = self.run_(backend.stream.read([ReadRequest(of, budget)], budget, 0))
        assert len(entries) == min(budget, len(waiting))
        for entry in entries:
            item = books.at("waiting", of=entry.list)[0]
            assert item.uuid == entry.uuid
            item.place, item.id = "pending", entry.id
            item.own(backend.stream.consumer, books.now)
            item.known = not lost
            self.begun.append(entry)
            self.see(books.vcons[entry.uuid])


def in_order(items: Sequence[Item]) -> list[Item]:
    return sorted(items, key=lambda item: tuple(map(int, item.id.split("-"))))
