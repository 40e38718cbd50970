"""Whatever happens in whatever order: no vCon is lost, and none is in two places."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from entry_books import DOCUMENT_TTL
from entry_commits import CommitRules
from entry_ends import EndRules
from entry_ground import lists, vcon
from entry_leases import LeaseRules
from entry_requests import RequestRules
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from vconflow.model.identifiers import new_uuid
from vconflow.ports.documents import Search

__all__ = ["EntryMachine"]

ResultT = TypeVar("ResultT")


class EntryMachine(CommitRules, LeaseRules, EndRules, RequestRules):
    """Drives replicas, of which some are dead and do not know it, and compares with the books."""

    @rule(to=lists)
    def accept_new(self, to: tuple[str, ...]) -> None:
        self.accept(new_uuid(), *to)

    @precondition(lambda self: self.any_alive())
    @rule(data=st.data(), to=st.sampled_from([(), ("in",)]))
    def replace(self, data: st.DataObject, to: tuple[str, ...]) -> None:
        """Somebody writes the document, be it while a chain works on it."""
        book = self.book(data, alive=True)
        seen = book.seen
        self.accept(book.uuid, *to)
        book.seen = seen

    @precondition(lambda self: self.any_alive())
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        book = self.book(data, alive=True)
        assert self.run_(self.slots["two"].documents.delete(book.uuid, None))
        (found,) = self.run_(self.slots["two"].documents.fetch([book.uuid]))
        assert found.rev > book.rev
        book.rev, book.deleted, book.document, book.ends = found.rev, True, None, None
        book.listed = False
        book.records += 1

    @precondition(lambda self: any(not book.alive for book in self.books.vcons.values()))
    @rule(data=st.data(), to=lists)
    def accept_again(self, data: st.DataObject, to: tuple[str, ...]) -> None:
        """A deleted or forgotten vCon begins a new life, beside entries of the old one."""
        book = self.book(data, alive=False)
        self.begin_life()
        self.accept(book.uuid, *to)

    @precondition(lambda self: self.any_alive())
    @rule(data=st.data())
    def read_back(self, data: st.DataObject) -> None:
        """A copy from a storage fills a gap only, and never brings back what was deleted."""
        book = data.draw(st.sampled_from(list(self.books.vcons.values())))
        if book.alive and book.stored != book.rev:
            return
        copy = vcon(book.uuid, book.tels[-1])
        if book.rev == 0:
            return
        self.run_(self.slots["two"].documents.recache(book.uuid, copy))
        if book.alive and book.document is None:
            book.document = copy
            book.ends = None if self.books.count(book.uuid)[0] else self.books.now + DOCUMENT_TTL

    @invariant()
    def every_entry_is_in_exactly_one_place(self) -> None:
        books = self.books
        seen = self.server.observe(list(books.vcons))
        assert seen.places == Counter((i.list, i.place, i.uuid) for i in books.items)
        pending = books.at("pending")
        assert seen.owners == {(item.list, item.id): item.owner for item in pending}
        for uuid, book in books.vcons.items():
            if book.alive:
                assert seen.counters[uuid] == books.count(uuid)

    @invariant()
    def documents_stay_while_they_are_needed(self) -> None:
        books = self.books.vcons.values()
        found = self.run_(self.slots["one"].documents.fetch([book.uuid for book in books]))
        for book, document in zip(books, found, strict=True):
            assert (document.rev, document.deleted) == (book.rev, book.deleted)
            assert document.document == book.document
            if book.alive and self.books.count(book.uuid)[0]:
                assert document.document is not None

    @invariant()
    def whoever_is_listed_is_found(self) -> None:
        documents = self.slots["one"].documents
        page = self.run_(documents.page(offset=0, limit=1000, since=None, until=None))
        listed = [book for book in self.books.vcons.values() if book.listed]
        assert sorted(page) == sorted(book.uuid for book in listed)
        # A search is a round trip: of those that have not changed, the unlisted must not come back.
        books = [b for b in self.books.vcons.values() if not b.listed or b.tels != b.searched]
        tels = [(book, tel) for book in books for tel in book.tels[-2:]]
        searches = [documents.search(Search(tel=tel)) for _, tel in tels]
        for (book, tel), found in zip(tels, self.run_(together(searches)), strict=True):
            current = book.listed and tel == book.tels[-1]
            assert found == ([book.uuid] if current else [])
            book.searched = list(book.tels)


async def together(calls: Sequence[Coroutine[Any, Any, ResultT]]) -> list[ResultT]:
    return await asyncio.gather(*calls)
