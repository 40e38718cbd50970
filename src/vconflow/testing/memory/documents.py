"""Reading and housekeeping of documents (`ports/documents.py`)."""

from collections.abc import Sequence

from vconflow.errors import InvalidVcon
from vconflow.model.validation import Facts, validate
from vconflow.ports.documents import Document, Search
from vconflow.ports.history import HistoryRecord
from vconflow.testing.memory.history import Journal
from vconflow.testing.memory.store import Store
from vconflow.testing.memory.vcons import Expiries, Meta, index_text

__all__ = ["MemoryDocuments"]

_TOMBSTONE = 24 * 3600 * 1000
"""Milliseconds: longer than anybody can hold on to a lease."""
_SEARCH_LIMIT = 10_000


class MemoryDocuments:
    """See `Documents`; and `sweep`, which forgets what has expired."""

    def __init__(self, store: Store, journal: Journal, expiries: Expiries) -> None:
        self._store = store
        self._journal = journal
        self._vcons = store.vcons
        self._expiries = expiries

    async def fetch(self, uuids: Sequence[str]) -> list[Document]:
        """See `Documents.fetch`."""
        await self._store.call()
        return [self._fetch(uuid) for uuid in uuids]

    async def fetch_some(self, uuids: Sequence[str]) -> list[Document]:
        """See `Documents.fetch_some`."""
        return await self.fetch(uuids)

    def _fetch(self, uuid: str) -> Document:
        document = self._vcons.documents.get(uuid)
        if document is not None:
            self._vcons.adopt(uuid)
        meta = self._vcons.metas.get(uuid) or Meta()
        return Document(document, meta.rev, meta.born, meta.deleted, meta.index, meta.open)

    async def stored_at(self, uuid: str) -> tuple[str, ...]:
        """See `Documents.stored_at`."""
        await self._store.call()
        return (self._vcons.metas.get(uuid) or Meta()).stored_at

    async def recache(self, uuid: str, document: bytes) -> None:
        """See `Documents.recache`."""
        await self._store.call()
        vcons, ttl = self._vcons, self._expiries.document_ttl
        meta = vcons.metas.setdefault(uuid, Meta)
        if meta.deleted or vcons.documents.get(uuid) is not None:
            return
        if not meta.rev:
            meta.stored = vcons.adopt(uuid).rev
        vcons.documents.put(uuid, document)
        if ttl and not meta.open:
            vcons.documents.end_in(uuid, ttl)
            if (vcons.metas.left(uuid) or 0) < ttl:
                vcons.metas.end_in(uuid, 2 * ttl)

    async def delete(self, uuid: str, facts: Facts | None) -> bool:
        """See `Documents.delete`."""
        await self._store.call()
        vcons = self._vcons
        meta = vcons.metas.get(uuid) or Meta()
        held = vcons.documents.pop(uuid) is not None
        # A forgotten meta cannot say; then the caller's reading of the document counts.
        listed = vcons.unlist(uuid, meta.index or index_text(facts))
        vcons.metas.put(uuid, Meta(rev=vcons.next_rev(meta.rev), deleted=True))
        vcons.metas.end_in(uuid, _TOMBSTONE)
        found = held or listed or (meta.rev > 0 and not meta.deleted)
        if found:
            self._journal.append(uuid, HistoryRecord(kind="deleted"))
        return found

    async def page(
        self, *, offset: int, limit: int, since: float | None, until: float | None
    ) -> list[str]:
        """See `Documents.page`."""
        await self._store.call()
        found = sorted(
            (
                (created, uuid)
                for uuid, created in self._vcons.created.items()
                if (since is None or created >= since) and (until is None or created <= until)
            ),
            reverse=True,
        )
        return [uuid for _, uuid in found[offset : offset + limit]]

    async def search(self, query: Search) -> list[str]:
        """See `Documents.search`."""
        await self._store.call()
        terms = {"tel": query.tel, "mailto": query.mailto, "name": query.name}
        first, *others = [
            list(reversed(self._vcons.index.get(f"{kind}:{term}") or {}))[:_SEARCH_LIMIT]
            for kind, term in terms.items()
            if term is not None
        ]
        wanted = set(first).intersection(*others)
        return [uuid for uuid in first if uuid in wanted]

    async def forget(self, uuid: str) -> None:
        """See `Documents.forget`."""
        await self._store.call()
        self._forget(uuid)

    async def sweep(self, now: float, count: int = 500) -> int:
        """Forget vCons whose only copy has expired by `now` (Unix seconds); how many."""
        await self._store.call()
        ends = sorted((end, uuid) for uuid, end in self._vcons.last_copies.items())
        expired = [uuid for end, uuid in ends if end <= now * 1000]
        return sum(self._forget(uuid) for uuid in expired[:count])

    def _forget(self, uuid: str) -> bool:
        vcons = self._vcons
        if vcons.documents.get(uuid) is not None:
            # It was written again meanwhile: it expires later, or not at all.
            left = vcons.documents.left(uuid)
            if left is None:
                vcons.last_copies.pop(uuid, None)
            else:
                vcons.last_copies[uuid] = self._store.now() + left + 1
            return False
        meta = vcons.metas.get(uuid) or Meta()
        vcons.unlist(uuid, meta.index)
        meta.index = ""
        return True

    async def reindex(self) -> int:
        """See `Documents.reindex`."""
        await self._store.call()
        found = [_facts(document) for _, document in self._vcons.documents.items()]
        return sum(self._reindex(facts) for facts in found if facts is not None)

    def _reindex(self, facts: Facts) -> int:
        vcons = self._vcons
        meta = vcons.adopt(facts.uuid)
        if not meta.deleted:
            meta.index = index_text(facts)
            vcons.created[facts.uuid] = facts.created_at
            vcons.reindex(facts.uuid, "", meta.index, self._expiries.index_expiry)
        return 1


def _facts(document: bytes) -> Facts | None:
    try:
        return validate(document)
    except InvalidVcon:
        return None
