"""Objects in buckets: what the storage `s3` and links that move media need of S3."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta

from vconflow.ports.component import Options, Secret

__all__ = [
    "ANYTHING",
    "MULTIPART_FROM",
    "NOTHING",
    "AccountOptions",
    "Bucket",
    "BucketAccess",
    "FoundObject",
    "ObjectState",
    "Objects",
]

ANYTHING: Final = "*"
"""A `put` replaces whatever has the key."""
NOTHING: Final = ""
"""A `put` is for a key that nothing has."""
MULTIPART_FROM: Final = 16 * 1024 * 1024
"""Objects of so many bytes are sent in parts, unless said otherwise."""
_REGION: Final = "us-east-1"


class AccountOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who asks which server, among the options of whatever uses a bucket."""

    aws_access_key_id: Annotated[
        Secret | None,
        Meta(
            description="The access key. Without keys those of the usual places are used: the "
            "environment (`AWS_ACCESS_KEY_ID`), the files of the AWS CLI, the role of the machine."
        ),
    ] = None
    aws_secret_access_key: Annotated[Secret | None, Meta(description="Its secret.")] = None
    aws_region: Annotated[str, Meta(description="The region of the bucket.")] = _REGION
    endpoint_url: Annotated[
        str | None,
        Meta(description="The server, for one that is not Amazon's, as `http://minio:9000`."),
    ] = None

    def __post_init__(self) -> None:
        if (_given(self.aws_access_key_id) is None) != (_given(self.aws_secret_access_key) is None):
            raise ValueError("aws_access_key_id and aws_secret_access_key belong together")
        if self.endpoint_url and not self.endpoint_url.startswith(("http://", "https://")):
            raise ValueError("endpoint_url must begin with http:// or https://")

    def access(self, bucket: str, multipart_from: int = MULTIPART_FROM) -> "BucketAccess":
        """What opens the bucket; what is blank counts as not given."""
        return BucketAccess(
            bucket=bucket,
            access_key_id=_given(self.aws_access_key_id),
            secret_access_key=_given(self.aws_secret_access_key),
            region=self.aws_region or _REGION,
            endpoint_url=self.endpoint_url or None,
            multipart_from=multipart_from,
        )


def _given(secret: Secret | None) -> Secret | None:
    return None if secret is None or secret.is_blank else secret


class BucketAccess(msgspec.Struct, frozen=True):
    """One bucket and who may use it; without keys the usual sources of AWS are asked.

    Objects of `multipart_from` bytes are sent in parts.
    """

    bucket: str
    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None
    region: str = _REGION
    endpoint_url: str | None = None
    multipart_from: int = MULTIPART_FROM


class ObjectState(msgspec.Struct, frozen=True):
    """What a bucket says of an object; every version of one has another `etag`."""

    etag: str
    metadata: Mapping[str, str]


class FoundObject(ObjectState, frozen=True):
    """An object as read."""

    content: bytes


class Bucket(Protocol):
    """An open bucket. Raises `Retryable` and `Permanent`."""

    async def put(
        self,
        key: str,
        content: bytes | Path,
        media_type: str,
        *,
        metadata: Mapping[str, str] = MappingProxyType({}),
        replacing: str = ANYTHING,
    ) -> None:
        """Store an object, of the bytes or of the file; there is all of it or nothing.

        `replacing` is `ANYTHING`, `NOTHING`, or the etag of the one version that it may replace:
        raises `Conflict` for another, as far as the server can tell.
        """
        ...

    async def get(self, key: str) -> bytes | None:
        """The object, None if there is none."""
        ...

    async def read(self, key: str) -> FoundObject | None:
        """The object with what is said of it, None if there is none."""
        ...

    async def state(self, key: str) -> ObjectState | None:
        """What is said of the object, None if there is none."""
        ...

    async def delete(self, key: str) -> bool:
        """Remove an object; whether there was one."""
        ...

    async def presigned_get(self, key: str, seconds: int) -> str:
        """A URL by which anybody may GET the object for so many seconds, 604800 at most."""
        ...

    async def ping(self) -> None:
        """Return when the bucket is there and may be used; raise what hinders it."""
        ...


class Objects(Protocol):
    """Opens buckets; whoever names the same account shares its client."""

    def bucket(self, access: BucketAccess) -> AbstractAsyncContextManager[Bucket]:
        """Open a bucket without asking for it yet. Raises `Permanent` without the extra `s3`."""
        ...
