"""What must be true of every vCon and every entry, kept beside the backend that is under test."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from vconflow.ports.documents import Document
from vconflow.ports.ledger import NEVER, Bury, Commit, Defer, Finish, Progress, Verdict

__all__ = ["DOCUMENT_TTL", "LEASE", "PARKED", "UNIT", "Books", "Item", "VconBook"]

UNIT = 30
"""Seconds: time passes in these. A run on a real server must take less than half of one."""
LEASE = 10 * UNIT
DOCUMENT_TTL = 15 * UNIT
PARKED = NEVER / 1000
"""When a parked entry is due."""


@dataclass
class Item:
    """An entry, or the dead letter it became. Times are Unix seconds of the books.

    `place` is `waiting`, `pending`, `dead` or `out`; `life` is the one of its vCon that counts it.
    Nobody works on it before `rests_until`; `known` says that its owner was told that it has it.
    `turn` counts how often an egress list handed it out.
    """

    uuid: str
    list: str
    life: int
    place: str
    id: str = ""
    owner: str = ""
    renewed: float = 0.0
    known: bool = True
    rests_until: float = 0.0
    crashes: int = 0
    progress: Progress = field(default_factory=Progress)
    rev: int = 0
    turn: int = 0

    def own(self, name: str, now: float) -> None:
        self.owner, self.renewed, self.known = name, now, True

    def crash(self) -> None:
        """Its owner ended: was it being worked on when that gave its last sign of life?

        From then on it rests, until somebody says that it runs again.
        """
        if self.rests_until <= self.renewed:
            self.crashes += 1
            self.rests_until = PARKED


@dataclass
class VconBook:
    """One uuid. `ends` is when its document expires, `life` how often it began.

    `records` is how much its history has.
    """

    uuid: str
    rev: int = 0
    born: int = 0
    life: int = 0
    deleted: bool = False
    document: bytes | None = None
    tels: list[str] = field(default_factory=list)
    listed: bool = False
    stored: int = 0
    done: int = 0
    ttl: float | None = None
    ends: float | None = None
    seen: Document | None = None
    searched: list[str] = field(default_factory=list)
    owner: str = ""
    records: int = 0

    @property
    def alive(self) -> bool:
        return self.rev > 0 and not self.deleted

    def accepted(self, rev: int, document: bytes, tel: str) -> None:
        assert rev > self.rev
        if not self.alive:
            self.life += 1
            self.born, self.deleted, self.stored, self.done = rev, False, 0, 0
        self.ttl = None
        self.records += 1
        self.write(rev, document, tel)
        self.listed = True

    def write(self, rev: int, document: bytes, tel: str) -> None:
        assert rev > self.rev
        self.rev, self.document, self.ends = rev, document, None
        self.tels.append(tel)

    def gone(self) -> None:
        """Its last copy went with its dead letter: nothing is known of it any more."""
        self.rev = self.born = 0
        self.document, self.ends, self.listed = None, None, False


class Books:
    """The expectations. Whoever drives a backend tells them what it did and learned."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.vcons: dict[str, VconBook] = {}
        self.items: list[Item] = []
        self.holds: dict[str, tuple[object, float]] = {}

    # Names

    def holder(self, name: str) -> object | None:
        """Who holds the name of a replica: often its successor."""
        holder, until = self.holds.get(name, (None, 0.0))
        return holder if until > self.now else None

    def free_name(self, wanted: str) -> str:
        name, number = wanted, 1
        while self.holder(name) is not None:
            number += 1
            name = f"{wanted}-{number}"
        return name

    def hold(self, name: str, backend: object) -> None:
        self.holds[name] = (backend, self.now + LEASE)

    def displaced(self, name: str, backend: object) -> bool:
        return self.holder(name) not in (None, backend)

    # Looking

    def at(self, *places: str, of: str | None = None) -> list[Item]:
        return [item for item in self.items if item.place in places and of in (None, item.list)]

    def find(self, list_name: str, entry_id: str) -> Item | None:
        """The entry, unless it is done or dead."""
        found = (item for item in self.at("pending", of=list_name) if item.id == entry_id)
        return next(found, None)

    def owned(self, name: str, list_name: str) -> list[Item]:
        return [item for item in self.at("pending", of=list_name) if item.owner == name]

    def count(self, uuid: str) -> tuple[int, int]:
        """`open` and `egress`: entries and dead letters of this life."""
        life = self.vcons[uuid].life
        places = Counter(
            item.place for item in self.items if (item.uuid, item.life) == (uuid, life)
        )
        return places["waiting"] + places["pending"] + places["dead"], places["out"]

    # Changing

    def add(self, uuid: str, list_name: str, progress: Progress | None = None) -> Item:
        place = "out" if list_name == "out" else "waiting"
        item = Item(uuid, list_name, self.vcons[uuid].life, place, progress=progress or Progress())
        self.items.append(item)
        return item

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for vcon in self.vcons.values():
            if vcon.ends is not None and vcon.ends <= self.now:
                vcon.document = None

    def sweep(self) -> None:
        """The last copy of a vCon has expired: it leaves the listing."""
        for vcon in self.vcons.values():
            if vcon.alive and vcon.document is None and vcon.stored != vcon.rev:
                vcon.listed = False

    def verdict(self, commit: Commit, owns: bool) -> Verdict:
        vcon = self.vcons[commit.uuid]
        if not owns:
            return Verdict.LOST
        if isinstance(commit.then, Finish) and commit.then.deleted:
            return Verdict.DONE
        if self.outlived(commit):
            even = isinstance(commit.then, Bury) and commit.then.even_deleted
            return Verdict.DONE if even else Verdict.DELETED
        return Verdict.MOVED if commit.rev and commit.rev != vcon.rev else Verdict.DONE

    def outlived(self, commit: Commit) -> bool:
        vcon = self.vcons[commit.uuid]
        return vcon.deleted or (commit.born > 0 and commit.born != vcon.born)

    def done(self, commit: Commit, item: Item) -> None:
        """A commit was carried out, its document noted already."""
        vcon = self.vcons[commit.uuid]
        vcon.records += commit.record is not None
        match commit.then:
            case Finish(deleted=True):
                self.items.remove(item)
            case Finish() as finish:
                self.finish(vcon, item, finish)
            case Defer(progress):
                item.progress = progress
            case Bury() as bury:
                self.items.remove(item)
                self.items.append(item)  # dead letters are in the order of their deaths
                item.place, item.id = "dead", ""
                item.rev = 0 if self.outlived(commit) else vcon.rev
                item.progress = bury.progress.afresh()

    def finish(self, vcon: VconBook, item: Item, finish: Finish) -> None:
        self.items.remove(item)
        for target in finish.targets:
            self.add(vcon.uuid, target.list)
        if finish.stored:
            vcon.stored = vcon.rev
        else:
            vcon.done = vcon.rev
        vcon.ttl = vcon.ttl if finish.expire_seconds is None else finish.expire_seconds
        self.let_expire(vcon)

    def let_expire(self, vcon: VconBook) -> None:
        """A document ends when nothing open needs it, and it is stored or was told to end."""
        stored = DOCUMENT_TTL if vcon.stored == vcon.rev else None
        ttl = stored if vcon.ttl is None else vcon.ttl
        if ttl is not None and not self.count(vcon.uuid)[0]:
            vcon.ends = self.now + ttl

    def replay(self, item: Item) -> None:
        self.items.remove(item)
        vcon = self.vcons[item.uuid]
        vcon.records += 1
        again = self.add(item.uuid, item.list, item.progress)
        if not vcon.alive:
            again.life = item.life
        else:
            vcon.ends = None

    def drop_dead(self, items: Iterable[Item]) -> None:
        """Dead letters expired, and with them documents that nothing else keeps."""
        for item in items:
            self.items.remove(item)
            vcon = self.vcons[item.uuid]
            counted = vcon.alive and item.life == vcon.life
            if not counted:
                continue
            # What a chain was through with stays, unless a storage has this very revision.
            is_kept = vcon.done or vcon.stored not in (0, vcon.rev)
            if any(self.count(item.uuid)) or item.rev != vcon.rev or is_kept:
                self.let_expire(vcon)
            elif vcon.stored:
                vcon.document, vcon.ends = None, None
            else:
                vcon.gone()

    def expected(self, item: Item) -> Progress:
        """The progress that a resumed entry comes with, but for its due time."""
        resumed = item.progress.resumed(item.crashes, int(item.rests_until * 1000))
        return msgspec.structs.replace(resumed, due=0)
