"""Removing the stored copies of a deleted vCon, and of no other."""

from collections.abc import Sequence

import msgspec

from vconflow.model.dates import instant
from vconflow.model.entry import StoredVcon
from vconflow.model.vcon import Vcon
from vconflow.pipeline.fanout import Fanout
from vconflow.ports.documents import Document, Documents

__all__ = ["Removal", "remove_copies", "stored_vcon"]


class Removal(msgspec.Struct, frozen=True):
    """Whether a storage held a copy, and what failed by storage."""

    found: bool
    failed: dict[str, Exception]


async def remove_copies(
    documents: Documents, fanout: Fanout, uuid: str, names: Sequence[str] | None = None
) -> Removal:
    """Remove a vCon from the named storages, by default from all.

    A vCon that was posted again meanwhile has a new life: what was removed of that is put back.
    """
    (before,) = await documents.fetch([uuid])
    if _lives(before):
        return Removal(False, await _restore(documents, fanout, uuid, before, names or ()))
    held, failed = await fanout.delete(uuid, names)
    (after,) = await documents.fetch([uuid])
    if held and _lives(after):
        failed |= await _restore(documents, fanout, uuid, after, held)
    return Removal(bool(held), failed)


def _lives(document: Document) -> bool:
    return not document.deleted and document.rev > 0


async def _restore(
    documents: Documents, fanout: Fanout, uuid: str, found: Document, names: Sequence[str]
) -> dict[str, Exception]:
    if found.document is None or not names:  # it has left Redis: the storages have it
        return {}
    failed = await fanout.store(stored_vcon(uuid, found.rev, found.document), names)
    (now,) = await documents.fetch([uuid])
    if now.deleted:  # again, and perhaps before we wrote
        _, failed = await fanout.delete(uuid, names)
    return failed


def stored_vcon(uuid: str, rev: int, document: bytes, vcon: Vcon | None = None) -> StoredVcon:
    """The form in which storages get a revision; `vcon` is the document, if it was read already."""
    created = (vcon or Vcon(document)).created_at
    return StoredVcon(uuid, rev, document, _instant(created) if created else 0.0)


def _instant(created: str) -> float:
    try:
        return instant(created)
    except ValueError:  # a conserver takes what is no date
        return 0.0
