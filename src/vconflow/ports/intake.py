"""Accepting vCons: everything that makes one ours is written in one atomic step."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from vconflow.model.validation import Facts

__all__ = ["Acceptance", "Intake", "Receipt"]


class Acceptance(msgspec.Struct, frozen=True):
    """A validated body and the lists it goes to.

    `expect_rev`: None stores unconditionally (POST); a revision stores only over that one; 0
    stores over any existing document (PUT without If-Match). `source` names what sent it (`http`,
    `bulk`), `owner` the name of the API key.
    """

    facts: Facts
    document: bytes
    lists: tuple[str, ...] = ()
    source: str = "http"
    owner: str = ""
    trace: str = ""
    expect_rev: int | None = None


class Receipt(msgspec.Struct, frozen=True):
    """What became of one acceptance: the revision it got."""

    rev: int


class Intake(Protocol):
    """The write side of ingest."""

    async def accept(self, batch: Sequence[Acceptance]) -> list[Receipt | Exception]:
        """Store each item alone: document, meta, index, stream entries; one result per item.

        Raises `Unavailable` when the outcome of the whole batch could not be settled.
        """
        ...

    async def enqueue(self, uuids: Sequence[str], list_name: str, source: str) -> list[bool]:
        """Put stored vCons on a list; False for a uuid that Redis knows nothing of."""
        ...
