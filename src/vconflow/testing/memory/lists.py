"""A list: entries that wait, entries that somebody owns, and dead letters."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from vconflow.model.entry import Entry
from vconflow.ports.dead_letters import DeadLetter
from vconflow.ports.ledger import NEVER, Progress, decode_progress
from vconflow.ports.stream import Resumed

__all__ = ["CLIENTS", "Buried", "DeadList", "EntryIds", "EntryList", "Pending", "id_order"]


CLIENTS = "http"
"""All replicas lend under one name: an entry belongs to a lease, not to a replica."""


def id_order(entry_id: str) -> tuple[int, int]:
    """What entry ids are sorted by: milliseconds, then a number."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


@dataclass
class EntryIds:
    """Gives out ids that grow even when the clock does not."""

    last: tuple[int, int] = (0, 0)

    def next(self, now: int) -> str:
        """Return an id greater than all before; `now` is in Unix milliseconds."""
        milliseconds, number = self.last
        self.last = (now, 0) if now > milliseconds else (milliseconds, number + 1)
        return f"{self.last[0]}-{self.last[1]}"


@dataclass
class Pending:
    """An entry that was handed out, with the record of its run. Times are Unix milliseconds.

    A client has it on lease before `lent_until`, whether or not a chain reads the list by now.
    """

    entry: Entry
    owner: str
    renewed: int
    progress: Progress | None = None
    due: int = 0
    crashes: int = 0
    lent_until: int = 0

    def give_to(self, consumer: str, now: int) -> None:
        """Begin a new lease."""
        self.owner, self.renewed, self.lent_until = consumer, now, 0

    def hand_out(self, now: int, until: int) -> Entry:
        """Begin a client's lease, under the next turn of the entry."""
        self.give_to(CLIENTS, now)
        self.lent_until = until
        self.entry = msgspec.structs.replace(self.entry, turn=self.entry.turn + 1)
        return self.entry

    def crash(self, silent_since: int) -> None:
        """Count a crash, unless the entry was resting back then; it rests now, until it runs."""
        if self.due <= silent_since:
            self.crashes += 1
            self.due = NEVER

    def resume(self) -> Resumed:
        """Where to go on."""
        progress = self.progress or decode_progress(self.entry.progress)
        return Resumed(self.entry, progress.resumed(self.crashes, self.due))


@dataclass
class EntryList:
    """Entries by id, oldest first. Each is either waiting or pending until it is removed.

    Entries are handed out in order, so all that are pending are older than all that wait.
    """

    name: str
    ids: EntryIds = field(default_factory=EntryIds)
    waiting: dict[str, Entry] = field(default_factory=dict)
    pending: dict[str, Pending] = field(default_factory=dict)
    consumers: set[str] = field(default_factory=set)

    def add(
        self,
        uuid: str,
        now: int,
        *,
        origin: str,
        trace: str = "",
        progress: bytes = b"",
        egress: bool = False,
    ) -> None:
        """Append an entry."""
        entry_id = self.ids.next(now)
        self.waiting[entry_id] = Entry(
            entry_id, self.name, uuid, now, origin, trace, progress, egress
        )

    def take(self, consumer: str, count: int, now: int) -> list[Entry]:
        """Hand out at most `count` of those that wait."""
        self.consumers.add(consumer)
        taken = list(islice(self.waiting.values(), max(0, count)))
        for entry in taken:
            del self.waiting[entry.id]
            self.pending[entry.id] = Pending(entry, consumer, now)
        return taken

    def overdue(self, lease: int, count: int, now: int) -> list[Pending]:
        """Entries that were not renewed for `lease` milliseconds."""
        found = (
            held
            for held in self.pending.values()
            if now - held.renewed >= lease and held.lent_until <= now
        )
        return list(islice(found, max(0, count)))

    def ended(self, count: int, now: int) -> list[Pending]:
        """Entries that clients had on lease until now at the latest."""
        found = (held for held in self.all_of(CLIENTS) if held.lent_until <= now)
        return list(islice(found, max(0, count)))

    def owned(self, entry_id: str, consumer: str) -> Pending | None:
        """The pending entry, if it belongs to `consumer`."""
        held = self.pending.get(entry_id)
        return held if held is not None and held.owner == consumer else None

    def all_of(self, consumer: str) -> Iterator[Pending]:
        """All that `consumer` owns."""
        return (held for held in self.pending.values() if held.owner == consumer)

    @property
    def oldest(self) -> str:
        """The id of the oldest entry, or ''."""
        return next(iter(self.pending), "") or next(iter(self.waiting), "")


@dataclass
class Buried:
    """A dead letter of what was the entry `entry`, and where a replay goes on, as JSON.

    `rev` is the revision of the vCon that failed, 0 of one that was deleted.
    """

    letter: DeadLetter
    entry: str
    rev: int
    progress: bytes


@dataclass
class DeadList:
    """Dead letters by id, oldest first."""

    ids: EntryIds = field(default_factory=EntryIds)
    letters: dict[str, Buried] = field(default_factory=dict)
