"""One bucket."""

from collections.abc import Awaitable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from botocore.exceptions import ClientError

from vconflow.adapters.objects.client import SharedClient
from vconflow.adapters.objects.errors import code_of, mapped_errors
from vconflow.adapters.objects.upload import Upload, send
from vconflow.errors import Permanent
from vconflow.ports.objects import ANYTHING, NOTHING, BucketAccess, FoundObject, ObjectState

__all__ = ["S3Bucket"]

AnswerT = TypeVar("AnswerT")

_LONGEST_PRESIGNED: Final = 604_800
_NO_METADATA: Final[Mapping[str, str]] = MappingProxyType({})
_MISSING: Final = frozenset({"NoSuchKey", "404"})


class S3Bucket:
    """A bucket that is asked for nothing before it is used."""

    def __init__(self, access: BucketAccess, client: SharedClient) -> None:
        self._name = access.bucket
        self._multipart_from = access.multipart_from
        self._client = client

    async def put(
        self,
        key: str,
        content: bytes | Path,
        media_type: str,
        *,
        metadata: Mapping[str, str] = _NO_METADATA,
        replacing: str = ANYTHING,
    ) -> None:
        """Store an object, a large one in parts; see `Bucket.put`."""
        upload = Upload(
            where={"Bucket": self._name, "Key": key},
            content=content,
            in_parts_from=self._multipart_from,
            said={"ContentType": media_type, "Metadata": dict(metadata)},
            condition=self._condition(replacing),
        )
        with mapped_errors(self._name):
            client = await self._client.get()
            try:
                await send(client, upload)
            except ClientError as error:
                if code_of(error) != "NotImplemented" or "IfMatch" not in upload.condition:
                    raise
                self._client.knows_if_match = False
                await send(client, replace(upload, condition={}))

    async def get(self, key: str) -> bytes | None:
        """The object, None if there is none."""
        found = await self.read(key)
        return None if found is None else found.content

    async def read(self, key: str) -> FoundObject | None:
        """The object with what is said of it, None if there is none."""
        with mapped_errors(self._name):
            client = await self._client.get()
            answer = await _unless_missing(client.get_object(Bucket=self._name, Key=key))
            if answer is None:
                return None
            async with answer["Body"] as body:
                content = await body.read()
        return FoundObject(answer["ETag"], answer["Metadata"], content)

    async def state(self, key: str) -> ObjectState | None:
        """What is said of the object, None if there is none."""
        with mapped_errors(self._name):
            client = await self._client.get()
            answer = await _unless_missing(client.head_object(Bucket=self._name, Key=key))
        return None if answer is None else ObjectState(answer["ETag"], answer["Metadata"])

    async def delete(self, key: str) -> bool:
        """Remove an object; whether there was one. The versions that a bucket keeps stay."""
        was_there = await self.state(key) is not None
        with mapped_errors(self._name):
            client = await self._client.get()
            # No error of Amazon's when there is none, but of some others.
            await _unless_missing(client.delete_object(Bucket=self._name, Key=key))
        return was_there

    async def presigned_get(self, key: str, seconds: int) -> str:
        """A URL by which anybody may GET the object for so many seconds."""
        if not 1 <= seconds <= _LONGEST_PRESIGNED:
            raise Permanent(f"a presigned URL holds for 1 to {_LONGEST_PRESIGNED} s, not {seconds}")
        with mapped_errors(self._name):
            client = await self._client.get()
            return await client.generate_presigned_url(
                "get_object", Params={"Bucket": self._name, "Key": key}, ExpiresIn=seconds
            )

    async def ping(self) -> None:
        """Return when the bucket is there and may be used; raise what hinders it."""
        with mapped_errors(self._name):
            client = await self._client.get()
            try:
                await client.head_bucket(Bucket=self._name)
            except ClientError:
                # An answer to HEAD does not say why.
                await client.list_objects_v2(Bucket=self._name, MaxKeys=1)
                raise

    def _condition(self, replacing: str) -> dict[str, str]:
        if replacing == ANYTHING:
            return {}
        if replacing == NOTHING:
            return {"IfNoneMatch": "*"}
        return {"IfMatch": replacing} if self._client.knows_if_match else {}


async def _unless_missing(request: Awaitable[AnswerT]) -> AnswerT | None:
    try:
        return await request
    except ClientError as error:
        if code_of(error) in _MISSING:
            return None
        raise
