"""Accepting vCons (`ports/intake.py`)."""

from collections.abc import Sequence

from vconflow.errors import RevisionMismatch
from vconflow.ports.intake import Acceptance, Receipt
from vconflow.testing.memory.store import Store
from vconflow.testing.memory.vcons import Expiries, Meta, index_text

__all__ = ["MemoryIntake"]


class MemoryIntake:
    """Stores document, meta, listing, index and entries of each vCon."""

    def __init__(self, store: Store, expiries: Expiries) -> None:
        self._store = store
        self._expiries = expiries

    async def accept(self, batch: Sequence[Acceptance]) -> list[Receipt | Exception]:
        """See `Intake.accept`."""
        await self._store.call()
        return [self._accept(item) for item in batch]

    def _accept(self, item: Acceptance) -> Receipt | Exception:
        vcons, uuid = self._store.vcons, item.facts.uuid
        held = vcons.metas.get(uuid) or Meta()
        if item.expect_rev and (held.deleted or held.rev != item.expect_rev):
            return RevisionMismatch("the vCon has changed since")
        rev = vcons.next_rev(held.rev)
        # A tombstone gives way to a new life, which counts from nothing.
        meta = Meta() if held.deleted else held
        if meta.ttl is not None:
            vcons.last_copies.pop(uuid, None)
        old, meta.index = meta.index, index_text(item.facts)
        meta.rev, meta.born, meta.owner, meta.ttl = rev, meta.born or rev, item.owner, None
        meta.count("open", len(item.lists))
        vcons.metas.put(uuid, meta)
        vcons.documents.put(uuid, item.document)
        vcons.created[uuid] = item.facts.created_at
        vcons.reindex(uuid, old, meta.index, self._expiries.index_expiry)
        for name in item.lists:
            self._store.append(name, uuid, origin=item.source, trace=item.trace)
        return Receipt(rev)

    async def enqueue(self, uuids: Sequence[str], list_name: str, source: str) -> list[bool]:
        """See `Intake.enqueue`."""
        await self._store.call()
        return [self._enqueue(uuid, list_name, source) for uuid in uuids]

    def _enqueue(self, uuid: str, list_name: str, source: str) -> bool:
        vcons = self._store.vcons
        if vcons.documents.get(uuid) is None:
            return False
        vcons.documents.keep(uuid)
        vcons.metas.keep(uuid)
        vcons.metas.setdefault(uuid, Meta).count("open", 1)
        self._store.append(list_name, uuid, origin=source)
        return True
