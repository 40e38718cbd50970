"""Milvus storage: what was said, in passages with their embeddings, to be searched by meaning."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar, Final, Self

from vconflow.adapters.storages.milvus_options import MilvusOptions, account
from vconflow.adapters.storages.milvus_rows import VECTOR, Change, Wanted, changes, wanted
from vconflow.errors import InvalidVcon, PartialFailure, Permanent
from vconflow.model.entry import StoredVcon
from vconflow.ports.component import Options, Resources
from vconflow.ports.semantic_index import SemanticHit

if TYPE_CHECKING:
    from vconflow.adapters.storages.milvus_client import MilvusRows
    from vconflow.adapters.storages.milvus_vectors import UnitVectors

__all__ = ["MilvusOptions", "MilvusStorage"]

_CLIENT: Final = "vconflow.adapters.storages.milvus_client"
_VECTORS: Final = "vconflow.adapters.storages.milvus_vectors"
_MORE: Final = 4
"""So many times as many passages are looked at as vCons are wanted, and then again."""
_MOST: Final = 16_384
"""What Milvus returns at most."""
_PIECE: Final = 256
"""Rows that are embedded and inserted at a time: about one call of a provider."""


class MilvusStorage:
    """One row per passage. Rows are inserted before those that they replace are removed.

    The connection is opened and the collection is loaded when they are first needed, so that
    vconflow starts, and accepts, while Milvus is away.
    """

    options: ClassVar[type[Options]] = MilvusOptions
    readable: ClassVar[bool] = False
    searchable: ClassVar[bool] = True

    def __init__(self, rows: "MilvusRows", vectors: "UnitVectors", options: MilvusOptions) -> None:
        self._rows = rows
        self._vectors = vectors
        self._model = options.embedding_model
        self._again = not options.skip_if_exists

    @classmethod
    @asynccontextmanager
    async def open(cls, options: MilvusOptions, resources: Resources) -> AsyncIterator[Self]:
        """Open the account for embeddings, and a client without connecting."""
        # They take numpy and pandas along.
        client = await asyncio.to_thread(import_module, _CLIENT)
        vectors = await asyncio.to_thread(import_module, _VECTORS)
        place = f"storages.{resources.name}.options"
        model, dim = options.embedding_model, options.embedding_dim
        async with (
            resources.providers.embedder(account(options), model, dim) as embedder,
            client.open_rows(options, place) as rows,
        ):
            yield cls(rows, vectors.UnitVectors(embedder), options)

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        """Bring the rows of a batch up to date. Raises PartialFailure for what is no vCon."""
        collection = await self._rows.collection()
        those, failures = await asyncio.to_thread(_read, vcons, self._model, collection.lengths)
        there = await self._rows.of([one.uuid for one in those])
        change = changes(those, there, collection.key, again=self._again)
        await self._insert(change)
        await self._rows.remove(change.remove)
        if failures:
            raise PartialFailure(failures)

    async def delete(self, uuid: str) -> bool:
        """Remove all rows of the vCon; a vCon without any text has none."""
        keys = await self._rows.keys(uuid)
        await self._rows.remove(keys)
        return bool(keys)

    async def ping(self) -> None:
        """Make sure of the collection."""
        await self._rows.check()

    async def search(self, text: str, limit: int) -> Sequence[SemanticHit]:
        """The vCons with the nearest passages, the best first, each with its best one."""
        (vector,) = await self._vectors.of([text])
        looked = min(limit * _MORE, _MOST)
        while True:
            found = await self._rows.search(vector, looked)
            best: dict[str, SemanticHit] = {}
            for passage in found:
                best.setdefault(passage.uuid, passage)
            if len(best) >= limit or len(found) < looked or looked == _MOST:
                return list(best.values())[:limit]
            looked = min(looked * _MORE, _MOST)

    async def _insert(self, change: Change) -> None:
        """Give every new row its vector: the one of a row that goes, else a new embedding.

        In pieces: what has been paid for is there for the next attempt, should a later one fail.
        That would not look at it if it embeds `again` what is there.
        """
        there = await self._rows.vectors(list(change.known.values()))
        vectors = self._vectors.sound(
            {text: there[key] for text, key in change.known.items() if key in there}
        )
        size = max(_PIECE, len(change.insert)) if self._again else _PIECE
        for start in range(0, len(change.insert), size):
            rows = change.insert[start : start + size]
            missing = list({row["text"]: None for row in rows if row["text"] not in vectors})
            if missing:
                vectors |= zip(missing, await self._vectors.of(missing), strict=True)
            for row in rows:
                row[VECTOR] = vectors[row["text"]]
            await self._rows.insert(rows)


def _read(
    vcons: Sequence[StoredVcon], model: str, lengths: Mapping[str, int | None]
) -> tuple[list[Wanted], dict[str, Exception]]:
    """What the batch should look like, and the vCons that cannot be read."""
    those: list[Wanted] = []
    failures: dict[str, Exception] = {}
    for vcon in vcons:
        try:
            those.append(wanted(vcon, model, lengths))
        except InvalidVcon:
            failures[vcon.uuid] = Permanent("it cannot be read as a vCon")
    return those, failures
