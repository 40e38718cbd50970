"""Accepting vCons: everything that makes one ours is written in one atomic step."""

import enum
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import msgspec

from vconflow.model.validation import Facts
from vconflow.ports.history import HistoryRecord

__all__ = [
    "IN_A_ROW",
    "Acceptance",
    "Enqueued",
    "Enqueuing",
    "Idempotency",
    "Intake",
    "Ownership",
    "Receipt",
]

IN_A_ROW = frozenset({"bulk", "follow"})
"""Sources that bring many vCons one behind the other, an order which their list keeps."""


class Ownership(enum.Enum):
    """What an acceptance does to the owner of a vCon that is stored already."""

    TAKE = "take"
    """Overwrites, and owns from now on."""
    EXCLUSIVE = "exclusive"
    """Refused with `Conflict` when another owns it."""
    KEEP = "keep"
    """Overwrites, and leaves the owner (links do)."""


class Idempotency(msgspec.Struct, frozen=True):
    """Makes a repeated request harmless for 24 h.

    `name` stands for the key of the client and its owner, `fingerprint` for the whole request:
    both are digests. Under a name that is known the same fingerprint gets the first answer again,
    another one `Conflict`.
    """

    name: str
    fingerprint: str


class Acceptance(msgspec.Struct, frozen=True):
    """A validated body and the lists it goes to.

    `expect_rev`: None stores unconditionally (POST); a revision stores only over that one, else
    `RevisionMismatch`; 0 over any that is there (PUT without If-Match), else `Conflict`. `source`
    names what sent it (`http`, `bulk`), `owner` the name of the API key.
    """

    facts: Facts
    document: bytes
    lists: tuple[str, ...] = ()
    source: str = "http"
    owner: str = ""
    trace: str = ""
    expect_rev: int | None = None
    ownership: Ownership = Ownership.TAKE
    idempotency: Idempotency | None = None

    def record(self) -> HistoryRecord:
        """What the history of the vCon says of it."""
        return _accepted(self.lists, self.source, self.owner)


@lru_cache(maxsize=256)
def _accepted(lists: tuple[str, ...], source: str, owner: str) -> HistoryRecord:
    # The same of most vCons: who keeps it need not look into it twice.
    return HistoryRecord(kind="accepted", lists=lists, source=source, owner=owner)


class Receipt(msgspec.Struct, frozen=True):
    """The revision that an acceptance got; `repeated` says that it got it earlier."""

    rev: int
    repeated: bool = False


class Enqueuing(msgspec.Struct, frozen=True):
    """Stored vCons and the list they go to.

    With `idempotency` a uuid that was put on the list under this name is passed over, and nothing
    is done any more once an order was `final`.
    """

    uuids: Sequence[str]
    list: str
    source: str = "http"
    owner: str = ""
    trace: str = ""
    idempotency: Idempotency | None = None
    final: bool = True

    def record(self) -> HistoryRecord:
        """What the history of each of the vCons says of it."""
        return HistoryRecord(
            kind="enqueued",
            lists=(self.list,),
            source=self.source,
            owner=self.owner,
        )


class Enqueued(msgspec.Struct, frozen=True):
    """Which uuids Redis knew and put on the list; `repeated` is the answer of an earlier order."""

    found: list[bool]
    repeated: bool = False


class Intake(Protocol):
    """The write side of ingest."""

    async def accept(self, batch: Sequence[Acceptance]) -> list[Receipt | Exception]:
        """Store each item alone: document, meta, index, stream entries; one result per item.

        Items of one vCon, and those of a source `IN_A_ROW`, are stored in their order. Raises
        `Unavailable` when the outcome of the whole batch could not be settled.
        """
        ...

    async def enqueue(self, order: Enqueuing) -> Enqueued:
        """Put stored vCons on a list. Raises `Conflict` for a reused idempotency key."""
        ...

    async def recall(self, idempotency: Idempotency) -> Receipt | None:
        """What this very acceptance got earlier; None if it is new. Raises `Unavailable`."""
        ...

    async def recall_enqueued(self, idempotency: Idempotency) -> Enqueued | None:
        """What this very order got as a final one; None if it is new. Raises `Unavailable`."""
        ...
