"""One behaviour, whatever the data is kept in: Valkey, Redis 7.0, a cluster, memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from vconflow.adapters.redis.backend import RedisOptions, open_backend
from vconflow.adapters.redis.shards.numbering import Numbering
from vconflow.model.validation import validate
from vconflow.testing.contracts.backend import Backend, BackendContract, BackendServer
from vconflow.testing.memory import ManualClock, MemoryServer


class RedisUnderTest:
    """A real server, for which time passes as it does."""

    lease = 0.4

    def __init__(self, url: str, shards: int | None = None) -> None:
        self._url = url
        self._shards = shards

    def replica(
        self, name: str, *, document_ttl: int = 3600, index_expiry: int = 86400
    ) -> AbstractAsyncContextManager[Backend]:
        options = RedisOptions(
            replica=name,
            lease=self.lease,
            egress_lease=self.lease,
            document_ttl=document_ttl,
            index_expiry=index_expiry,
            shards=self._shards,
        )
        return open_backend(self._url, options)

    async def leave(self, document: bytes) -> None:
        uuid = validate(document).uuid
        options = RedisOptions(replica="conserver", shards=self._shards)
        async with open_backend(self._url, options) as backend:
            place = backend.places[Numbering(len(backend.places)).of_uuid(uuid)]
            client, key = place.connections.commands, place.keys.document(uuid)
            await client.execute_command("SET", key, document)

    async def let_pass(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class MemoryUnderTest:
    """A server in memory, on a clock of its own."""

    lease = 30.0

    def __init__(self) -> None:
        self._clock = ManualClock()
        self._server = MemoryServer(self._clock)

    @asynccontextmanager
    async def replica(
        self, name: str, *, document_ttl: int = 3600, index_expiry: int = 86400
    ) -> AsyncIterator[Backend]:
        backend = self._server.replica(
            name,
            lease=self.lease,
            egress_lease=self.lease,
            document_ttl=document_ttl,
            index_expiry=index_expiry,
        )
        yield backend
        backend.close()

    async def leave(self, document: bytes) -> None:
        self._server.store.vcons.documents.put(validate(document).uuid, document)

    async def let_pass(self, seconds: float) -> None:
        await self._clock.advance(seconds)


class TestRedisBackend(BackendContract):
    @pytest.fixture
    async def server(self, redis_url: str) -> BackendServer:
        return RedisUnderTest(redis_url)


class TestClusterBackend(BackendContract):
    in_order = False

    @pytest.fixture
    async def server(self, cluster_url: str) -> BackendServer:
        return RedisUnderTest(cluster_url, shards=4)


class TestMemoryBackend(BackendContract):
    @pytest.fixture
    async def server(self) -> BackendServer:
        return MemoryUnderTest()
