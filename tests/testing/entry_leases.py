"""Rules: time passes, replicas die, pause, stop and come back."""

from collections.abc import Sequence

import msgspec
import pytest
from entry_books import LEASE, PARKED, UNIT, Item
from entry_ground import Ground, in_order, slots
from entry_servers import LISTS
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from vconflow.ports.stream import Displaced, Resumed

__all__ = ["LeaseRules"]

seconds = st.integers(1, 2 * LEASE // UNIT).map(lambda units: units * UNIT)


class LeaseRules(Ground):
    """Who owns an entry, and for how long."""

    @rule(by=seconds)
    def time_passes(self, by: int) -> None:
        self.let_pass(by)

    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        backend = data.draw(st.sampled_from(self.replicas))
        name, books = backend.stream.consumer, self.books
        pending = {of: [item.id for item in books.at("pending", of=of)] for of in LISTS}
        if books.displaced(name, backend):
            with pytest.raises(Displaced):
                self.run_(backend.stream.renew(pending))
            return
        lost = self.run_(backend.stream.renew(pending))
        books.hold(name, backend)
        items = books.at("pending")
        assert set(lost) == {(item.list, item.id) for item in items if item.owner != name}
        for item in items:
            if item.owner == name:
                item.renewed = books.now

    def resumed(self, name: str, expected: Sequence[Item], got: Sequence[Resumed]) -> None:
        assert [item.entry.id for item in got] == [item.id for item in expected]
        for item, resumed in zip(expected, got, strict=True):
            item.own(name, self.books.now)
            due = resumed.progress.due / 1000
            assert msgspec.structs.replace(resumed.progress, due=0) == self.books.expected(item)
            # While it is parked, its due time is only what its owner makes of it.
            if item.rests_until == 0.0:
                assert due == 0
            elif item.rests_until != PARKED:
                left = item.rests_until - self.books.now
                assert abs(due - self.server.now() - left) < UNIT / 2

    @rule(slot=slots)
    def pause_and_be_replaced(self, slot: str) -> None:
        """Silent for a whole lease: the successor gets the name, and this one does not know."""
        self.let_pass(LEASE)
        self.die_and_come_back(slot)

    @rule(slot=slots)
    def die_and_come_back(self, slot: str) -> None:
        """The next life works under the same name only if nobody can hold it any more."""
        backend = self.slots[slot] = self.open(slot)
        name = backend.stream.consumer
        for of in LISTS:
            own = in_order(self.books.owned(name, of))
            for item in own:
                item.crash()
            self.resumed(name, own, self.run_(backend.stream.recover(of, "", 1000)))

    @precondition(lambda self: self.books.at("pending"))
    @rule(slot=slots, of=st.sampled_from(LISTS))
    def take_over(self, slot: str, of: str) -> None:
        backend, books = self.slots[slot], self.books
        name = backend.stream.consumer
        free = [i for i in books.at("pending", of=of) if books.now - i.renewed >= LEASE]
        # What it was told to own and has dropped; what it was never told of is no crash.
        dropped = [item.id for item in books.owned(name, of) if item.known]
        for item in free:
            if item.owner != name or item.known:
                item.crash()
        got = self.run_(backend.stream.take_over(of, 1000, dropped))
        self.resumed(name, in_order(free), got)

    @precondition(lambda self: self.books.at("pending"))
    @rule(data=st.data())
    def hand_over(self, data: st.DataObject) -> None:
        backend, books = data.draw(st.sampled_from(self.replicas)), self.books
        name = backend.stream.consumer
        pending = {of: [item.id for item in books.at("pending", of=of)] for of in LISTS}
        self.run_(backend.stream.hand_over(pending))
        if not books.displaced(name, backend):
            for item in books.at("pending"):
                if item.owner == name:
                    item.rests_until = max(item.rests_until, books.now)
                    item.renewed = books.now - LEASE - 0.001

    @rule(slot=slots)
    def tidy(self, slot: str) -> None:
        backend = self.slots[slot]
        self.run_(backend.stream.reap(LISTS))
        self.run_(backend.documents.sweep(self.server.now()))
        self.books.sweep()
