"""Rules: dead letters are replayed or expire, egress lists are popped."""

from entry_books import LEASE, Item
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
    @rule(count=st.integers(1, 3))
    def pop(self, count: int) -> None:
        """What came back goes first."""
        out, now = self.books.at("out"), self.books.now
        returned = in_order([i for i in out if i.owner and now - i.renewed >= LEASE])
        waiting = [item for item in out if not item.owner]
        expected = [*returned, *waiting][:count]
        popped = self.run_(self.slots["one"].egress.lease("out", count))
        assert [entry.uuid for entry in popped] == [item.uuid for item in expected]
        for entry, item in zip(popped, expected, strict=True):
            item.id = entry.id
            item.own("http", now)
        self.popped += popped

    @precondition(lambda self: self.popped)
    @rule(data=st.data(), sent=st.booleans())
    def answer(self, data: st.DataObject, sent: bool) -> None:
        """The response with popped vCons was sent, or could not be; maybe their lease is over."""
        entry = data.draw(st.sampled_from(self.popped))
        items = [item for item in self.books.at("out") if item.id == entry.id]
        egress = self.slots["two"].egress
        if sent:
            assert self.run_(egress.ack("out", [entry])) == len(items)
            self.books.items = [item for item in self.books.items if item not in items]
            return
        self.run_(egress.give_back("out", [entry]))
        for item in items:
            item.renewed = self.books.now - LEASE - 0.001


def milliseconds(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
