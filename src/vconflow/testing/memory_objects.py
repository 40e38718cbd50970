"""Buckets in memory."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

from vconflow.errors import Conflict
from vconflow.ports.objects import (
    ANYTHING,
    NOTHING,
    Bucket,
    BucketAccess,
    FoundObject,
    ObjectState,
)

__all__ = ["MemoryBucket", "MemoryObjects"]


class MemoryObjects:
    """An Objects in memory: `buckets` by name, made when first opened; keys are not looked at."""

    def __init__(self) -> None:
        self.buckets: dict[str, MemoryBucket] = {}

    @asynccontextmanager
    async def bucket(self, access: BucketAccess) -> AsyncIterator[Bucket]:
        yield self.buckets.setdefault(access.bucket, MemoryBucket(access.bucket))


class MemoryBucket:
    """One bucket: `objects` by key, `media_types` likewise."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.objects: dict[str, FoundObject] = {}
        self.media_types: dict[str, str] = {}

    async def put(
        self,
        key: str,
        content: bytes | Path,
        media_type: str,
        *,
        metadata: Mapping[str, str] = MappingProxyType({}),
        replacing: str = ANYTHING,
    ) -> None:
        body = await asyncio.to_thread(content.read_bytes) if isinstance(content, Path) else content
        found = self.objects.get(key)
        if replacing not in (ANYTHING, NOTHING if found is None else found.etag):
            raise Conflict(f"{key} has another version")
        etag = hashlib.sha256(body).hexdigest()
        self.objects[key] = FoundObject(etag, dict(metadata), body)
        self.media_types[key] = media_type

    async def get(self, key: str) -> bytes | None:
        found = self.objects.get(key)
        return None if found is None else found.content

    async def read(self, key: str) -> FoundObject | None:
        return self.objects.get(key)

    async def state(self, key: str) -> ObjectState | None:
        return self.objects.get(key)

    async def delete(self, key: str) -> bool:
        self.media_types.pop(key, None)
        return self.objects.pop(key, None) is not None

    async def presigned_get(self, key: str, seconds: int) -> str:
        return f"https://{self.name}.example/{key}?X-Amz-Expires={seconds}"

    async def ping(self) -> None:
        """Nothing can hinder it."""
