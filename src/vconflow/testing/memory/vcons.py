"""What the server knows of each vCon: document, revision, counters, and where it is listed."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from vconflow.model.validation import Facts
from vconflow.testing.memory.expiring import Expiring
from vconflow.testing.memory.lists import id_order

__all__ = ["Expiries", "Meta", "VconTable", "index_text"]

_META_GRACE = 60_000
"""Milliseconds by which a meta outlives its document and its index entries."""

_decode_keys = msgspec.json.Decoder(list[str]).decode


def index_text(facts: Facts | None) -> str:
    """The keys under which a vCon is found, as `Document.index` has them; '' for none."""
    if facts is None:
        return ""
    keys = [
        *(f"tel:{number}" for number in facts.tels),
        *(f"mailto:{address}" for address in facts.mailtos),
        *(f"name:{name}" for name in facts.names),
    ]
    return msgspec.json.encode(keys).decode() if keys else ""


@dataclass(frozen=True)
class Expiries:
    """How a replica lets things expire, in milliseconds; 0 means never."""

    document_ttl: int
    index_expiry: int


@dataclass
class Meta:
    """Everything about a vCon but its bytes. It outlives them, and as a tombstone the vCon itself.

    `born` is the revision with which this life of the uuid began, `stored` the revision that the
    readable storages `stored_at` hold, `done` one that went through a chain without any storage.
    `open` counts the entries and dead letters that still need the document, `egress` those of lists
    that no chain reads. `ttl` (milliseconds) was asked for by a link.
    """

    rev: int = 0
    born: int = 0
    index: str = ""
    owner: str | None = None
    deleted: bool = False
    open: int = 0
    egress: int = 0
    stored: int = 0
    stored_at: tuple[str, ...] = ()
    done: int = 0
    ttl: int | None = None

    def counts(self, entry_id: str) -> bool:
        """Whether an entry is counted here: not one from an earlier life of the uuid."""
        return not self.deleted and self.rev > 0 and id_order(entry_id)[0] >= self.born // 1000

    def count(self, counter: str, change: int) -> int:
        """Change `open` or `egress`, never below zero; the new number."""
        number: int = max(0, getattr(self, counter) + change)
        setattr(self, counter, number)
        return number


class VconTable:
    """Documents and metas end apart from each other; listing and index end by their own rules.

    `now` returns Unix seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.documents: Expiring[bytes] = Expiring(self.milliseconds)
        self.metas: Expiring[Meta] = Expiring(self.milliseconds)
        self.created: dict[str, float] = {}
        self.partners: dict[str, str] = {}
        """Owners that outlive the metas: those whose vCons no other may overwrite."""
        self.last_copies: dict[str, int] = {}
        """When documents expire that no storage holds, in Unix milliseconds."""
        self.index: Expiring[dict[str, int]] = Expiring(self.milliseconds)

    def milliseconds(self) -> int:
        """Unix milliseconds."""
        return round(self._now() * 1000)

    def next_rev(self, rev: int) -> int:
        """The revision after `rev`. It follows the clock: so it also grows past a forgotten one."""
        return max(rev + 1, round(self._now() * 1_000_000))

    def adopt(self, uuid: str) -> Meta:
        """What is known of a vCon; one without a revision, as a conserver's is, gets one."""
        meta = self.metas.setdefault(uuid, Meta)
        if not meta.rev:
            meta.rev = self.next_rev(0)
            # Entries that count it already belong to this life.
            meta.born = 1 if meta.open else meta.rev
        return meta

    def reindex(self, uuid: str, old: str, new: str, expiry: int) -> None:
        """Move a vCon from its old index keys to the new ones; trim those that are written."""
        self._leave_index(uuid, old)
        now = self.milliseconds()
        for key in _keys(new):
            members = self.index.setdefault(key, dict)
            members.pop(uuid, None)
            members[uuid] = now
            if expiry > 0:
                for stale in [uuid for uuid, at in members.items() if at < now - expiry]:
                    del members[stale]
                self.index.end_in(key, expiry)

    def release(self, uuid: str, counter: str, entry_id: str) -> Meta | None:
        """An entry less, if it was counted: then what counts it."""
        meta = self.metas.get(uuid)
        if meta is None or not meta.counts(entry_id):
            return None
        meta.count(counter, -1)
        return meta

    def let_expire(self, uuid: str, meta: Meta, expiries: Expiries) -> None:
        """End a document when no list works on it, and either a readable storage holds this very
        revision or a link asked for it.
        """
        stored = meta.rev > 0 and meta.stored == meta.rev
        ttl = meta.ttl
        if ttl is None and stored:
            ttl = expiries.document_ttl or None
        if meta.open or ttl is None:
            return
        self.documents.end_in(uuid, ttl)
        self.metas.end_in(uuid, max(ttl, expiries.index_expiry) + _META_GRACE)
        if stored:
            self.last_copies.pop(uuid, None)
        else:
            self.last_copies[uuid] = self.milliseconds() + ttl

    def owner_of(self, uuid: str) -> str | None:
        """Who stored the vCon that is there, or None when none is.

        What has left Redis for the storages is still listed.
        """
        meta = self.metas.get(uuid) or Meta()
        if meta.deleted or (not meta.rev and uuid not in self.created):
            return None
        return meta.owner if meta.owner is not None else self.partners.get(uuid, "")

    def unlist(self, uuid: str, index: str) -> bool:
        """Take a vCon out of listing and index; whether it was listed."""
        self._leave_index(uuid, index)
        self.partners.pop(uuid, None)
        self.last_copies.pop(uuid, None)
        return self.created.pop(uuid, None) is not None

    def _leave_index(self, uuid: str, index: str) -> None:
        for key in _keys(index):
            (self.index.get(key) or {}).pop(uuid, None)


def _keys(index: str) -> list[str]:
    return _decode_keys(index) if index else []
