"""Accepting vCons (`ports/intake.py`)."""

from collections.abc import Sequence

from vconflow.errors import Conflict, RevisionMismatch
from vconflow.ports.intake import (
    Acceptance,
    Enqueued,
    Enqueuing,
    Idempotency,
    Ownership,
    Receipt,
)
from vconflow.testing.memory.history import Journal
from vconflow.testing.memory.store import Answered, Store
from vconflow.testing.memory.vcons import Expiries, Meta, index_text

__all__ = ["MemoryIntake"]

_IDEMPOTENCY_TTL = 24 * 3600 * 1000


class MemoryIntake:
    """Stores document, meta, listing, index and entries of each vCon."""

    def __init__(self, store: Store, journal: Journal, expiries: Expiries) -> None:
        self._store = store
        self._journal = journal
        self._expiries = expiries

    async def accept(self, batch: Sequence[Acceptance]) -> list[Receipt | Exception]:
        """See `Intake.accept`."""
        await self._store.call()
        return [self._accept(item) for item in batch]

    def _accept(self, item: Acceptance) -> Receipt | Exception:
        try:
            before = self._recall(item.idempotency)
            if before is not None:
                return Receipt(before.rev, repeated=True)
            self._check(item)
        except Conflict as conflict:
            return conflict
        rev = self._store_document(item)
        self._answer(item.idempotency, rev=rev)
        for name in item.lists:
            self._store.append(name, item.facts.uuid, origin=item.source, trace=item.trace)
        self._journal.append(item.facts.uuid, item.record())
        return Receipt(rev)

    def _check(self, item: Acceptance) -> None:
        vcons, uuid = self._store.vcons, item.facts.uuid
        held = vcons.metas.get(uuid) or Meta()
        if item.expect_rev == 0 and (held.deleted or not held.rev):
            raise Conflict("The vCon was deleted meanwhile")
        if item.expect_rev and (held.deleted or held.rev != item.expect_rev):
            raise RevisionMismatch("the vCon has changed since")
        if item.ownership is Ownership.EXCLUSIVE:
            owner = vcons.owner_of(uuid)
            if owner is not None and owner != item.owner:
                raise Conflict("The vCon was stored by another key")

    def _store_document(self, item: Acceptance) -> int:
        vcons, uuid = self._store.vcons, item.facts.uuid
        owner = self._own(item)
        held = vcons.metas.get(uuid) or Meta()
        rev = vcons.next_rev(held.rev)
        # A tombstone gives way to a new life, which counts from nothing.
        meta = Meta() if held.deleted else held
        if meta.ttl is not None:
            vcons.last_copies.pop(uuid, None)
        old, meta.index = meta.index, index_text(item.facts)
        meta.rev, meta.born, meta.owner, meta.ttl = rev, meta.born or rev, owner, None
        meta.count("open", len(item.lists))
        vcons.metas.put(uuid, meta)
        vcons.documents.put(uuid, item.document)
        vcons.created[uuid] = item.facts.created_at
        vcons.reindex(uuid, old, meta.index, self._expiries.index_expiry)
        return rev

    def _own(self, item: Acceptance) -> str:
        vcons, uuid = self._store.vcons, item.facts.uuid
        if item.ownership is Ownership.KEEP:
            before = vcons.owner_of(uuid)
            return item.owner if before is None else before
        if item.ownership is Ownership.EXCLUSIVE:
            vcons.partners[uuid] = item.owner
        else:
            vcons.partners.pop(uuid, None)
        return item.owner

    async def enqueue(self, order: Enqueuing) -> Enqueued:
        """See `Intake.enqueue`."""
        await self._store.call()
        before = self._recall(order.idempotency)
        done = before.found if before is not None else (False,) * len(order.uuids)
        if before is not None and before.final:
            return Enqueued(list(done), repeated=True)
        found = [
            was_done or self._enqueue(uuid, order)
            for uuid, was_done in zip(order.uuids, done, strict=True)
        ]
        final = order.final or all(found)
        self._answer(order.idempotency, found=tuple(found), final=final)
        return Enqueued(found)

    async def recall(self, idempotency: Idempotency) -> Receipt | None:
        """See `Intake.recall`."""
        await self._store.call()
        before = self._known(idempotency)
        return None if before is None else Receipt(before.rev, repeated=True)

    async def recall_enqueued(self, idempotency: Idempotency) -> Enqueued | None:
        """See `Intake.recall_enqueued`."""
        await self._store.call()
        before = self._known(idempotency)
        if before is None or not before.final:
            return None
        return Enqueued(list(before.found), repeated=True)

    def _known(self, idempotency: Idempotency) -> Answered | None:
        before = self._store.requests.get(idempotency.name)
        same = before is not None and before.fingerprint == idempotency.fingerprint
        return before if same else None

    def _enqueue(self, uuid: str, order: Enqueuing) -> bool:
        vcons = self._store.vcons
        if vcons.documents.get(uuid) is None:
            return False
        vcons.documents.keep(uuid)
        vcons.metas.keep(uuid)
        vcons.metas.setdefault(uuid, Meta).count("open", 1)
        vcons.adopt(uuid)
        self._store.append(order.list, uuid, origin=order.source, trace=order.trace)
        self._journal.append(uuid, order.record())
        return True

    def _recall(self, idempotency: Idempotency | None) -> Answered | None:
        if idempotency is None:
            return None
        before = self._store.requests.get(idempotency.name)
        if before is not None and before.fingerprint != idempotency.fingerprint:
            raise Conflict("Idempotency-Key reused with another body")
        return before

    def _answer(
        self,
        idempotency: Idempotency | None,
        *,
        rev: int = 0,
        found: tuple[bool, ...] = (),
        final: bool = True,
    ) -> None:
        if idempotency is not None:
            answered = Answered(idempotency.fingerprint, rev, found, final)
            self._store.requests.put(idempotency.name, answered)
            self._store.requests.end_in(idempotency.name, _IDEMPOTENCY_TTL)
