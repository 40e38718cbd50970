"""Objects in buckets: what links that move media need of S3."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import msgspec

from vconflow.ports.component import Secret

__all__ = ["Bucket", "BucketAccess", "Objects"]


class BucketAccess(msgspec.Struct, frozen=True):
    """One bucket and who may use it; without keys the usual sources of AWS are asked."""

    bucket: str
    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None
    region: str = "us-east-1"
    endpoint_url: str | None = None


class Bucket(Protocol):
    """An open bucket. Raises `Retryable` and `Permanent`."""

    async def put(self, key: str, content: bytes | Path, media_type: str) -> None:
        """Store an object, of the bytes or of the file."""
        ...

    async def get(self, key: str) -> bytes | None:
        """The object, None if there is none."""
        ...

    async def delete(self, key: str) -> bool:
        """Remove an object; whether there was one."""
        ...

    async def presigned_get(self, key: str, seconds: int) -> str:
        """A URL by which anybody may GET the object for so many seconds."""
        ...


class Objects(Protocol):
    """Opens buckets; whoever names the same one shares its client."""

    def bucket(self, access: BucketAccess) -> AbstractAsyncContextManager[Bucket]:
        """Open a bucket without asking for it yet."""
        ...
