"""Rules: requests that come twice, and owners that may not write over each other."""

from entry_ground import Ground, lists
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from vconflow.errors import Conflict
from vconflow.model.identifiers import new_uuid
from vconflow.ports.intake import Idempotency, Ownership, Receipt

__all__ = ["RequestRules"]

OTHER = "f" * 32


class RequestRules(Ground):
    """`asked` are the requests with an idempotency key, and the revisions that they got."""

    @rule(to=lists)
    def accept_with_key(self, to: tuple[str, ...]) -> None:
        idempotency = Idempotency(f"key-{len(self.asked)}", "0" * 32)
        item = self.acceptance(new_uuid(), to, idempotency=idempotency)
        self.asked.append((item, self.accept_(item)))

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), same=st.booleans())
    def ask_again(self, data: st.DataObject, same: bool) -> None:
        """Whatever has become of the vCon since: nothing is written."""
        item, rev = data.draw(st.sampled_from(self.asked))
        if not same:
            assert item.idempotency is not None
            item = self.with_fingerprint(item, OTHER)
        before = self.server.snapshot()
        (result,) = self.run_(self.slots["two"].intake.accept([item]))
        assert self.server.snapshot() == before
        assert result == Receipt(rev, repeated=True) if same else isinstance(result, Conflict)

    @precondition(lambda self: self.books.vcons)
    @rule(
        data=st.data(),
        owner=st.sampled_from(["a", "b"]),
        ownership=st.sampled_from([Ownership.EXCLUSIVE, Ownership.EXCLUSIVE, Ownership.KEEP]),
    )
    def accept_as(self, data: st.DataObject, owner: str, ownership: Ownership) -> None:
        """A partner sends any vCon there ever was, or a link writes it."""
        book = data.draw(st.sampled_from(list(self.books.vcons.values())))
        item = self.acceptance(book.uuid, ("in",), owner=owner, ownership=ownership)
        if ownership is Ownership.EXCLUSIVE and book.alive and book.owner != owner:
            before = self.server.snapshot()
            (result,) = self.run_(self.slots["two"].intake.accept([item]))
            assert isinstance(result, Conflict)
            assert self.server.snapshot() == before
            return
        if not book.alive:
            self.begin_life()
        seen = book.seen if book.alive else None
        self.accept_(item)
        book.seen = seen or book.seen
