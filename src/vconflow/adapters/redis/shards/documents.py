"""Documents, each in the shard of its uuid (`ports/documents.py`)."""

from collections.abc import Sequence

from vconflow.adapters.redis.shard import Shard
from vconflow.adapters.redis.shards import ranking
from vconflow.adapters.redis.shards.numbering import Numbering
from vconflow.adapters.redis.shards.spreading import each, raise_first, spread
from vconflow.adapters.redis.shards.standing import Standing
from vconflow.model.validation import Facts
from vconflow.ports.documents import Document, Search

__all__ = ["ShardedDocuments"]

_MOST_FOUND = 10_000
"""Answers of a search, as of one shard alone."""


class ShardedDocuments:
    """Asks the shard of a uuid, or all of them."""

    def __init__(self, shards: Sequence[Shard], numbering: Numbering, standing: Standing) -> None:
        self._shards = shards
        self._numbering = numbering
        self._standing = standing

    async def fetch(self, uuids: Sequence[str]) -> list[Document]:
        """See `Documents.fetch`."""
        return raise_first(await spread(uuids, self._numbering.of_uuid, self._fetch))

    async def _fetch(self, shard: int, uuids: list[str]) -> list[Document]:
        return await self._standing.ask(shard, lambda: self._shards[shard].documents.fetch(uuids))

    async def fetch_some(self, uuids: Sequence[str]) -> list[Document]:
        """See `Documents.fetch_some`."""
        found = await spread(uuids, self._numbering.of_uuid, self._fetch_some)
        documents: list[Document] = []
        for document in raise_first(found):
            if document is None:
                break  # behind what its shard gave: the next call begins with it
            documents.append(document)
        return documents

    async def _fetch_some(self, shard: int, uuids: list[str]) -> list[Document | None]:
        documents = self._shards[shard].documents
        found = await self._standing.ask(shard, lambda: documents.fetch_some(uuids))
        return [*found, *[None] * (len(uuids) - len(found))]

    async def stored_at(self, uuid: str) -> tuple[str, ...]:
        """See `Documents.stored_at`."""
        return await self._of(uuid).documents.stored_at(uuid)

    async def recache(self, uuid: str, document: bytes) -> None:
        """See `Documents.recache`."""
        await self._of(uuid).documents.recache(uuid, document)

    async def delete(self, uuid: str, facts: Facts | None) -> bool:
        """See `Documents.delete`."""
        return await self._of(uuid).documents.delete(uuid, facts)

    async def page(
        self, *, offset: int, limit: int, since: float | None, until: float | None
    ) -> list[str]:
        """See `Documents.page`."""
        return await ranking.page(self._shards, offset, limit, since, until)

    async def search(self, query: Search) -> list[str]:
        """See `Documents.search`."""
        return await ranking.search(self._shards, query, _MOST_FOUND)

    async def forget(self, uuid: str) -> None:
        """See `Documents.forget`."""
        await self._of(uuid).documents.forget(uuid)

    async def sweep(self, now: float, count: int = 500) -> int:
        """Forget vCons whose only copy has expired; how many, `count` while there are more."""
        swept = await each(shard.documents.sweep(now, count) for shard in self._shards)
        return max(swept)

    async def reindex(self) -> int:
        """See `Documents.reindex`."""
        return sum(await each(shard.documents.reindex() for shard in self._shards))

    def _of(self, uuid: str) -> Shard:
        return self._shards[self._numbering.of_uuid(uuid)]
