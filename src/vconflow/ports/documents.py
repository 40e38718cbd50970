"""Documents in the cache (Redis), apart from their way through the lists."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from vconflow.model.validation import Facts

__all__ = ["Document", "DocumentSaver", "Documents", "Search"]


class Document(msgspec.Struct, frozen=True):
    """The bytes of a vCon in Redis with the revision they have.

    `document` is None when Redis holds no bytes; `deleted` when the vCon was deleted. `born` is
    the revision at which this life of the uuid began: it differs after DELETE and a new POST.
    """

    document: bytes | None
    rev: int
    born: int = 0
    deleted: bool = False
    index: str = ""
    """Opaque: where this revision is indexed, for `Commit.previous_index`."""
    open: int = 0
    """How many entries and dead letters of chains there are of the vCon."""


class Search(msgspec.Struct, frozen=True):
    """Exact terms, all of which must match; None does not restrict."""

    tel: str | None = None
    mailto: str | None = None
    name: str | None = None


class DocumentSaver(Protocol):
    """What a link may use to store a further vCon (see `Replace`)."""

    async def save(self, document: bytes) -> str:
        """Validate and store a vCon without putting it on a list; return its uuid."""
        ...


class Documents(Protocol):
    """Reading and housekeeping of documents."""

    async def fetch(self, uuids: Sequence[str]) -> list[Document]:
        """The documents in the order asked for."""
        ...

    async def fetch_some(self, uuids: Sequence[str]) -> list[Document]:
        """Those of the first uuids, one at least: no more than may be in memory at once."""
        ...

    async def stored_at(self, uuid: str) -> tuple[str, ...]:
        """The storages that give back the last revision that went through a chain, if known."""
        ...

    async def recache(self, uuid: str, document: bytes) -> None:
        """Put back bytes that were read from a storage, unless newer ones or a tombstone exist."""
        ...

    async def delete(self, uuid: str, facts: Facts | None) -> bool:
        """Remove document and index entries, leave a tombstone; whether anything was there."""
        ...

    async def page(
        self, *, offset: int, limit: int, since: float | None, until: float | None
    ) -> list[str]:
        """uuids by created_at (Unix seconds), newest first."""
        ...

    async def search(self, query: Search) -> list[str]:
        """uuids that match every given term, newest accepted first, bounded in number."""
        ...

    async def forget(self, uuid: str) -> None:
        """Take a uuid out of the listing when no copy of it is left anywhere."""
        ...

    async def reindex(self) -> int:
        """Rebuild listing and search index from the documents in Redis; how many there were."""
        ...
