"""Rows in and out of one collection of Milvus; the driver's errors end here."""

import logging
from asyncio import Lock
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from typing import Any, Final, TypeVar

import grpc.aio
import msgspec
from pymilvus import AsyncMilvusClient

from vconflow.adapters.storages.milvus_collection import Collection, open_collection
from vconflow.adapters.storages.milvus_embedded import embedded_milvus
from vconflow.adapters.storages.milvus_errors import mapped_errors
from vconflow.adapters.storages.milvus_options import MilvusOptions
from vconflow.adapters.storages.milvus_rows import VECTOR, Row
from vconflow.adapters.storages.once import Once
from vconflow.ports.semantic_index import SemanticHit

__all__ = ["MilvusRows", "open_rows"]

ItemT = TypeVar("ItemT")

_CONNECT_SECONDS: Final = 3.0
_GRPC: Final = {"grpc.max_reconnect_backoff_ms": 1_000}
_ROWS_AT_ONCE: Final = 64
"""In one call: the driver packs them on the event loop, a quarter of a millisecond for each."""
_KEYS_AT_ONCE: Final = 1_000
_ONCE: Final = {"retry_times": 0, "retry_on_rate_limit": False}
"""Retries are the engine's."""
_STRONG: Final = {"consistency_level": "Strong", **_ONCE}
"""Reads see every write that was answered before."""


class MilvusRows:
    """The collection is opened, made if need be, when it is first used."""

    def __init__(self, client: AsyncMilvusClient, options: MilvusOptions, place: str) -> None:
        self._client = client
        self._options = options
        self._place = place
        self._name = options.collection_name
        self._ready = Once(self._open)
        self._collection: Collection | None = None
        # milvus-lite takes one write at a time.
        self._writing: AbstractAsyncContextManager[Any] = (
            Lock() if options.embedded_file else nullcontext()
        )

    async def collection(self) -> Collection:
        """What the collection is like. Raises Retryable when it is not as it must be."""
        with self._mapped():
            await self._ready.ensure()
        assert self._collection is not None
        return self._collection

    async def of(self, uuids: Sequence[str]) -> list[Row]:
        """All rows of some vCons, without their vectors."""
        collection = await self.collection()
        fields = [collection.key, *collection.lengths]
        return await self._query(f"vcon_uuid in {_list(uuids)}", fields)

    async def keys(self, uuid: str) -> list[Any]:
        """The primary keys of a vCon's rows."""
        key = (await self.collection()).key
        return [row[key] for row in await self._query(f"vcon_uuid in {_list([uuid])}", [key])]

    async def vectors(self, keys: Sequence[Any]) -> dict[Any, Sequence[float]]:
        """The vectors of rows by their primary keys."""
        key = (await self.collection()).key
        found: dict[Any, Sequence[float]] = {}
        for some in _parts(keys, _KEYS_AT_ONCE):
            rows = await self._query(f"{key} in {_list(some)}", [key, VECTOR])
            found |= {row[key]: row[VECTOR] for row in rows}
        return found

    async def insert(self, rows: Sequence[Row]) -> None:
        """Add rows. A failure may leave some of them."""
        for some in _parts(rows, _ROWS_AT_ONCE):
            with self._mapped():
                async with self._writing:
                    await self._client.insert(self._name, some, **_ONCE)

    async def remove(self, keys: Sequence[Any]) -> None:
        """Delete rows by their primary keys."""
        for some in _parts(keys, _KEYS_AT_ONCE):
            with self._mapped():
                async with self._writing:
                    await self._client.delete(self._name, ids=some, **_ONCE)

    async def search(self, vector: Any, limit: int) -> list[SemanticHit]:
        """The nearest passages, the best first; `vector` has the length 1."""
        collection = await self.collection()
        with self._mapped():
            (hits,) = await self._client.search(
                self._name,
                data=[vector],
                anns_field=VECTOR,
                limit=limit,
                output_fields=["vcon_uuid", "text"],
                search_params=collection.search_parameters(limit),
                **_STRONG,
            )
        return [
            SemanticHit(
                hit["entity"]["vcon_uuid"],
                _cosine(collection.metric, hit["distance"]),
                hit["entity"]["text"],
            )
            for hit in hits
        ]

    async def check(self) -> None:
        """Return when the collection can be used. Raises Retryable."""
        await self.collection()
        with self._mapped():
            state = await self._client.get_load_state(self._name, **_ONCE)
            if state["state"].name != "Loaded":
                self._ready.forget()  # somebody dropped or released it
                await self._ready.ensure()

    async def close(self) -> None:
        """Close the connection."""
        await self._ready.close()
        await self._client.close()

    async def _open(self) -> None:
        self._collection = await open_collection(self._client, self._options, self._place)

    async def _query(self, condition: str, fields: Sequence[str]) -> list[Row]:
        with self._mapped():
            rows = await self._client.query(
                self._name, filter=condition, output_fields=list(fields), **_STRONG
            )
        return [dict(row) for row in rows]

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        with mapped_errors(self._ready.forget):
            yield


@asynccontextmanager
async def open_rows(options: MilvusOptions, place: str) -> AsyncIterator[MilvusRows]:
    """Open a client without connecting; a Milvus inside this process is started.

    Raises Permanent when that is not possible.
    """
    # It logs with a traceback whatever it raises, and more than once.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    # Never undone: when its last channel goes, gRPC would wait for a thread, on the event loop.
    grpc.aio.init_grpc_aio()
    async with AsyncExitStack() as stack:
        url = options.address
        if options.embedded_file:
            url = await stack.enter_async_context(embedded_milvus(options.embedded_file))
        rows = MilvusRows(_client(options, url), options, place)
        stack.push_async_callback(rows.close)
        yield rows


def _client(options: MilvusOptions, url: str) -> AsyncMilvusClient:
    return AsyncMilvusClient(
        url,
        user=options.user,
        password=options.password.reveal() if options.password else "",
        token=options.token.reveal() if options.token else "",
        timeout=_CONNECT_SECONDS,
        dedicated=True,
        grpc_options=_GRPC,
    )


def _cosine(metric: str, distance: float) -> float:
    """All vectors have the length 1, so that each metric tells the angle."""
    cosine = 1 - distance / 2 if metric == "L2" else distance
    return min(max(cosine, -1.0), 1.0)


def _parts(values: Sequence[ItemT], size: int) -> Iterator[list[ItemT]]:
    for start in range(0, len(values), size):
        yield list(values[start : start + size])


def _list(values: Sequence[Any]) -> str:
    return msgspec.json.encode(values).decode()
