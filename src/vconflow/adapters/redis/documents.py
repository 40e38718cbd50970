"""Documents in Redis, apart from their way through the lists (`ports/documents.py`)."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from vconflow.adapters.redis.errors import as_ours, redis_errors
from vconflow.adapters.redis.history import Journal
from vconflow.adapters.redis.index import index_keys, index_of, index_text
from vconflow.adapters.redis.intake import BATCH_TTL
from vconflow.adapters.redis.keys import Keys
from vconflow.adapters.redis.scripts import ScriptCall, Scripts
from vconflow.errors import InvalidVcon, Permanent, Unavailable
from vconflow.model.validation import Facts, validate
from vconflow.ports.documents import Document, Search
from vconflow.ports.history import HistoryRecord

__all__ = ["FETCH_BYTES", "RedisDocuments"]

FETCH_BYTES = 16 * 1024 * 1024
"""A call stops after this many bytes: one reply must neither block Redis nor fill memory."""
_FETCH_ITEMS = 256
_TOMBSTONE_MS = 24 * 3600 * 1000
_SEARCH_LIMIT = 10_000
_SCAN_COUNT = 500
_DELETE_ROUNDS = 5


class RedisDocuments:
    """Reads and housekeeping. `document_ttl` and `index_expiry` are in seconds; 0 means never."""

    def __init__(
        self,
        client: Redis,
        scripts: Scripts,
        keys: Keys,
        journal: Journal,
        *,
        document_ttl: int,
        index_expiry: int,
        fetch_bytes: int = FETCH_BYTES,
    ) -> None:
        self._client = client
        self._scripts = scripts
        self._keys = keys
        self._journal = journal
        self._fetch_bytes = fetch_bytes
        self._document_ttl = document_ttl * 1000
        self._index_expiry = index_expiry * 1000

    @property
    def lifetimes(self) -> tuple[int, int]:
        """Milliseconds that a stored document and an index entry are kept; 0 means for ever."""
        return self._document_ttl, self._index_expiry

    async def fetch(self, uuids: Sequence[str]) -> list[Document]:
        """See `Documents.fetch`."""
        documents: list[Document] = []
        while len(documents) < len(uuids):
            start = len(documents)
            documents += await self.fetch_some(uuids[start : start + _FETCH_ITEMS])
        return documents

    async def fetch_some(self, uuids: Sequence[str]) -> list[Document]:
        """See `Documents.fetch_some`."""
        found = await self._fetch(uuids)
        # A conserver's: what is done with it must fail when somebody writes it meanwhile.
        bare = [
            uuid
            for uuid, it in zip(uuids, found, strict=False)
            if not it.rev and it.document is not None
        ]
        if not bare:
            return found
        try:
            await self._adopt(bare)
        except (Unavailable, Permanent):
            return found  # a Redis that takes no writes can still be read
        return await self._fetch(uuids)

    async def _adopt(self, uuids: Sequence[str]) -> None:
        call, keys = ScriptCall(), self._keys
        for uuid in uuids:
            call.keys_in_a_row(keys.document(uuid), keys.meta(uuid))
        await self._scripts.run("adopt", call, [len(uuids), self._index_expiry])

    async def _fetch(self, uuids: Sequence[str]) -> list[Document]:
        call, keys = ScriptCall(), self._keys
        for uuid in uuids:
            call.keys_in_a_row(keys.document(uuid), keys.meta(uuid))
        reply = await self._scripts.run("fetch", call, [self._fetch_bytes, len(uuids)])
        return [
            Document(document, rev, born, bool(deleted), index.decode(), count)
            for document, rev, born, deleted, index, count in zip(*[iter(reply)] * 6, strict=True)
        ]

    async def stored_at(self, uuid: str) -> tuple[str, ...]:
        """See `Documents.stored_at`."""
        with redis_errors():
            held = await self._client.execute_command("HGET", self._keys.meta(uuid), "at")
        return tuple(held.decode().split(",")) if held else ()

    async def recache(self, uuid: str, document: bytes) -> None:
        """See `Documents.recache`."""
        call = ScriptCall()
        header = [
            call.key(self._keys.document(uuid)),
            call.arg(document),
            call.key(self._keys.meta(uuid)),
            self._document_ttl,
        ]
        await self._scripts.run("recache", call, header)

    async def delete(self, uuid: str, facts: Facts | None) -> bool:
        """See `Documents.delete`."""
        record = HistoryRecord(kind="deleted")
        _, text = index_of(self._keys, facts)
        for _ in range(_DELETE_ROUNDS):
            call = ScriptCall()
            header = [
                uuid,
                call.key(self._keys.document(uuid)),
                call.key(self._keys.meta(uuid)),
                call.key(self._keys.created),
                call.key(self._keys.expiring),
                text,
                [call.key(name) for name in index_keys(text)],
                _TOMBSTONE_MS,
                call.key(self._keys.batch(uuid4().hex)),
                BATCH_TTL,
                call.key(self._keys.partners),
                self._journal.header(),
                self._journal.key(call, uuid),
                self._journal.record(call, record),
            ]
            reply = await self._scripts.run("delete", call, header)
            if reply[0] != b"index":
                return bool(reply[0])
            text = reply[1].decode()
        raise Unavailable("The vCon is being replaced by others all the time")

    async def page(
        self, *, offset: int, limit: int, since: float | None, until: float | None
    ) -> list[str]:
        """See `Documents.page`."""
        low = "-inf" if since is None else repr(since)
        high = "+inf" if until is None else repr(until)
        with redis_errors():
            reply = await self._client.execute_command(
                "ZRANGE", self._keys.created, high, low, "BYSCORE", "REV", "LIMIT", offset, limit
            )
        return [uuid.decode() for uuid in reply]

    async def search(self, query: Search) -> list[str]:
        """See `Documents.search`."""
        keys = [
            *([self._keys.tel(query.tel)] if query.tel is not None else []),
            *([self._keys.mailto(query.mailto)] if query.mailto is not None else []),
            *([self._keys.name(query.name)] if query.name is not None else []),
        ]
        with redis_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.execute_command("ZRANGE", key, 0, _SEARCH_LIMIT - 1, "REV")
                replies = await pipe.execute(raise_on_error=False)
            first, *others = [
                await self._members(key, reply) for key, reply in zip(keys, replies, strict=True)
            ]
        wanted = set(first).intersection(*others)
        return [uuid.decode() for uuid in first if uuid in wanted]

    async def _members(self, key: str, reply: Any) -> list[bytes]:
        if not isinstance(reply, ResponseError):
            return list(reply)
        if not str(reply).startswith("WRONGTYPE"):
            raise reply
        # A conserver's index: a set that nobody has written to since.
        return list(await self._client.execute_command("SRANDMEMBER", key, _SEARCH_LIMIT))

    async def forget(self, uuid: str) -> None:
        """See `Documents.forget`."""
        await self._forget([uuid])

    async def indexes(self, uuids: Sequence[str]) -> list[str]:
        """Where each vCon is indexed, without fetching it."""
        with redis_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for uuid in uuids:
                    pipe.execute_command("HGET", self._keys.meta(uuid), "idx")
                replies = await pipe.execute(raise_on_error=False)
        return [_index_text(reply) for reply in replies]

    async def sweep(self, now: float, count: int = 500) -> int:
        """Forget vCons whose only copy has expired by `now` (Unix seconds); how many."""
        with redis_errors():
            reply = await self._client.execute_command(
                "ZRANGE", self._keys.expiring, "-inf", int(now * 1000), "BYSCORE", "LIMIT", 0, count
            )
        return await self._forget([uuid.decode() for uuid in reply])

    async def _forget(self, uuids: Sequence[str]) -> int:
        if not uuids:
            return 0
        call = ScriptCall()
        items = [
            [
                uuid,
                call.key(self._keys.document(uuid)),
                call.key(self._keys.meta(uuid)),
                index,
                [call.key(name) for name in index_keys(index)],
            ]
            for uuid, index in zip(uuids, await self.indexes(uuids), strict=True)
        ]
        header = [
            call.key(self._keys.created),
            call.key(self._keys.expiring),
            items,
            call.key(self._keys.partners),
        ]
        return int(await self._scripts.run("forget", call, header))

    async def reindex(self) -> int:
        """See `Documents.reindex`."""
        count = 0
        async for uuids in self._scan():
            found = await self.fetch(uuids)
            items: list[Facts] = []
            for document in found:
                if document.document is not None:
                    try:
                        items.append(validate(document.document))
                    except InvalidVcon:
                        continue  # written by something else under our name: not ours to index
            if items:
                count += await self._index(items)
        return count

    async def _index(self, items: Sequence[Facts]) -> int:
        call = ScriptCall()
        rows: list[list[Any]] = []
        for facts in items:
            names = self._keys.index(facts)
            rows.append(
                [
                    facts.uuid,
                    call.key(self._keys.meta(facts.uuid)),
                    facts.created_at,
                    index_text(names),
                    [call.key(name) for name in names],
                ]
            )
        header = [call.key(self._keys.created), self._index_expiry, rows]
        return int(await self._scripts.run("index", call, header))

    async def _scan(self) -> AsyncIterator[list[str]]:
        prefix = self._keys.document("")
        cursor: int | bytes = 0
        while True:
            with redis_errors():
                cursor, found = await self._client.execute_command(
                    "SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", _SCAN_COUNT, "TYPE", "string"
                )
            if found:
                yield [key.decode().removeprefix(prefix) for key in found]
            if int(cursor) == 0:
                return


def _index_text(reply: Any) -> str:
    if not isinstance(reply, Exception):
        return reply.decode() if reply else ""
    error = as_ours(reply)
    if isinstance(error, Unavailable):
        raise error
    return ""  # a key of somebody else's making
