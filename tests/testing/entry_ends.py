"""Rules: dead letters are replayed or expire, egress lists are popped."""

from entry_books import LEASE, UNIT, Item
from entry_ground import Ground, in_order
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

__all__ = ["EndRules"]


class EndRules(Ground):
    """Where entries end."""

    def letters(self, of: str) -> list[tuple[str, Item]]:
        letters = self.run_(self.slots["one"].dead_letters.browse(of, after="", count=1000))
        items = self.books.at("dead", of=of)
        assert [letter.uuid for letter in letters] == [item.uuid for item in items]
        return [(letter.id, item) for letter, item in zip(letters, items, strict=True)]

    @precondition(lambda self: self.books.at("dead"))
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        of = data.draw(st.sampled_from(self.books.at("dead"))).list
        letter, item = data.draw(st.sampled_from(self.letters(of)))
        assert self.run_(self.slots["two"].dead_letters.replay(of, [letter])) == 1
        assert self.run_(self.slots["one"].dead_letters.replay(of, [letter])) == 0
        self.books.replay(item)

    @precondition(lambda self: self.books.at("dead"))
    @rule(data=st.data())
    def expire_dead_letters(self, data: st.DataObject) -> None:
        of = data.draw(st.sampled_from(self.books.at("dead"))).list
        letters = self.letters(of)
        until = milliseconds(data.draw(st.sampled_from(letters))[0]) + 1
        dropped = [item for letter, item in letters if milliseconds(letter) < until]
        expired = self.run_(self.slots["two"].dead_letters.expire(of, until, 1000))
        assert expired == len(dropped)
        self.books.drop_dead(dropped)

    @precondition(lambda self: self.books.at("out"))
    @rule(count=st.integers(1, 3), seconds=st.sampled_from([None, 3 * UNIT, 20 * UNIT]))
    def pop(self, count: int, seconds: int | None) -> None:
        """What came back goes first; each lease has its own length."""
        out, now = self.books.at("out"), self.books.now
        returned = [i for i in out if i.owner and now - i.renewed >= LEASE]
        waiting = [item for item in out if not item.owner]
        popped = self.run_(self.slots["one"].egress.lease("out", count, seconds))
        again = {entry.id for entry in popped if entry.turn > 1}
        expected = in_order([item for item in returned if item.id in again])
        assert len(expected) == len(again) == min(count, len(returned))
        expected += waiting[: count - len(expected)]
        assert [entry.uuid for entry in popped] == [item.uuid for item in expected]
        for entry, item in zip(popped, expected, strict=True):
            item.id, item.turn = entry.id, item.turn + 1
            assert entry.turn == item.turn
            item.own("http", now - LEASE + (seconds or LEASE))
        self.popped += popped

    @precondition(lambda self: self.popped)
    @rule(data=st.data(), how=st.sampled_from(["ack", "give_back", "extend"]), by_id=st.booleans())
    def answer(self, data: st.DataObject, how: str, by_id: bool) -> None:
        """A client says what becomes of its lease, which may be over, or another's by now."""
        entry = data.draw(st.sampled_from(self.popped))
        named = (entry.id, entry.turn)
        items = [item for item in self.books.at("out") if (item.id, item.turn) == named]
        egress, now = self.slots["two"].egress, self.books.now
        entries = self.run_(egress.find("out", [entry.lease_id])) if by_id else [entry]
        if how == "ack":
            done = self.run_(egress.ack("out", entries))
            self.books.vcons[entry.uuid].records += len(done)
            self.books.items = [item for item in self.books.items if item not in items]
        elif how == "give_back":
            done, renewed = self.run_(egress.give_back("out", entries)), now - LEASE
        else:
            done, renewed = (
                self.run_(egress.extend("out", entries, 7 * UNIT)),
                now + 7 * UNIT - LEASE,
            )
        assert done == [entry.lease_id for _ in items]
        for item in items if how != "ack" else ():
            item.renewed = renewed


def milliseconds(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
