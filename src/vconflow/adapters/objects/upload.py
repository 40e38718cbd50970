"""Sending objects: small ones at once, large ones in parts."""

import asyncio
import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiohttp import ClientError as ConnectionFailure
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

__all__ = ["Upload", "send"]

_ASK_FIRST_FROM: Final = 1024 * 1024
_PART: Final = 8 * 1024 * 1024
_MOST_PARTS: Final = 10_000
_AT_ONCE: Final = 2
"""Each part that is under way is in memory."""
_ABORT_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Upload:
    """An object to store, in parts if it has so many bytes; mappings are arguments of the driver.

    `where` names bucket and key, `said` is what is said of the object, `condition` is what has to
    hold for it.
    """

    where: Mapping[str, Any]
    content: bytes | Path
    in_parts_from: int
    said: Mapping[str, Any]
    condition: Mapping[str, Any]

    async def size(self) -> int:
        """How many bytes. Raises OSError."""
        if isinstance(self.content, bytes):
            return len(self.content)
        return (await asyncio.to_thread(self.content.stat)).st_size

    async def part(self, start: int, length: int) -> bytes:
        """Some of the bytes. Raises OSError."""
        if isinstance(self.content, bytes):
            return self.content[start : start + length]
        return await asyncio.to_thread(_read, self.content, start, length)


async def send(client: "S3Client", upload: Upload) -> None:
    """Store an object; without success there is nothing of it. Raises what the driver does."""
    size = await upload.size()
    if size >= upload.in_parts_from:
        await _send_in_parts(client, upload, size)
        return
    body = await upload.part(0, size)
    await client.put_object(**upload.where, **upload.said, **upload.condition, Body=_body(body))


def _body(content: bytes) -> bytes | io.BytesIO:
    """A stream is sent only after the server has agreed to take it: one more round trip."""
    return content if len(content) < _ASK_FIRST_FROM else io.BytesIO(content)


async def _send_in_parts(client: "S3Client", upload: Upload, size: int) -> None:
    begun = await client.create_multipart_upload(**upload.where, **upload.said)
    where = {**upload.where, "UploadId": begun["UploadId"]}
    try:
        parts: Any = await _send_parts(client, upload, where, size)
        await client.complete_multipart_upload(
            **where, MultipartUpload={"Parts": parts}, **upload.condition
        )
    except BaseException:
        await _abort(client, where)
        raise


async def _send_parts(
    client: "S3Client", upload: Upload, where: Mapping[str, Any], size: int
) -> list[Any]:
    length = max(_PART, -(-size // _MOST_PARTS))
    slots = asyncio.Semaphore(_AT_ONCE)

    async def send_part(number: int) -> dict[str, Any]:
        async with slots:
            body = io.BytesIO(await upload.part((number - 1) * length, length))
            sent = await client.upload_part(**where, PartNumber=number, Body=body)
        return {"PartNumber": number, "ETag": sent["ETag"]}

    numbers = range(1, -(-size // length) + 1)
    tasks: list[asyncio.Task[dict[str, Any]]] = [
        asyncio.create_task(send_part(number)) for number in numbers
    ]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        # After the first failure the others are in vain.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _read(path: Path, start: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(length)


async def _abort(client: "S3Client", where: Mapping[str, Any]) -> None:
    """Free what the parts take. While S3 is away a rule of the bucket has to do that."""
    with contextlib.suppress(BotoCoreError, ClientError, ConnectionFailure, TimeoutError):
        async with asyncio.timeout(_ABORT_SECONDS):
            await client.abort_multipart_upload(**where)
