"""Moving the bodies of dialogs to where they cost less."""

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from vconflow.errors import InvalidVcon, Permanent
from vconflow.links.recordings.inline import content_of
from vconflow.model.hashes import hash_of
from vconflow.model.media_types import UNKNOWN, extension_of, plain
from vconflow.model.rawjson import decode_plain, encode
from vconflow.model.versions import spell
from vconflow.ports.http import HttpSender
from vconflow.ports.objects import Bucket

__all__ = ["BucketMover", "MediaMover", "Moved", "PostMover", "replace_body"]

_HEADERS: Final = {"content-type": "application/json"}


class Moved(NamedTuple):
    """Where a content is now, and its `content_hash`."""

    url: str
    content_hash: str


class MediaMover(Protocol):
    """Takes the body of a dialog elsewhere."""

    async def move(self, uuid: str, index: int, dialog: Mapping[str, Any]) -> Moved:
        """Move the content of `dialog[index]` of a vCon. Raises Retryable and Permanent."""
        ...


class BucketMover:
    """Puts each content into a bucket, under a name that is the same at every attempt."""

    def __init__(self, bucket: Bucket, path: str, seconds: int) -> None:
        self._bucket = bucket
        self._path = path.strip("/")
        self._seconds = seconds

    async def move(self, uuid: str, index: int, dialog: Mapping[str, Any]) -> Moved:
        """Upload, and return a URL that works for some time."""
        content = await asyncio.to_thread(content_of, dialog)
        media_type = media_type_of(dialog)
        digest = await asyncio.to_thread(hashlib.sha256, content)
        name = f"dialog-{index}-{digest.hexdigest()[:16]}{extension_of(media_type)}"
        key = "/".join(part for part in (self._path, uuid, name) if part)
        await self._bucket.put(key, content, media_type)
        url = await self._bucket.presigned_get(key, self._seconds)
        return Moved(url, await asyncio.to_thread(hash_of, content))


class PostMover:
    """Posts each body as the reference does, and learns from the answer where it is."""

    def __init__(self, http: HttpSender, url: str, timeout: float) -> None:
        self._http = http
        self._url = url
        self._timeout = timeout

    async def move(self, uuid: str, index: int, dialog: Mapping[str, Any]) -> Moved:
        """Post, and return the URL of the answer. Raises Permanent if there is none."""
        content = await asyncio.to_thread(content_of, dialog)
        message = {
            "content": dialog["body"],
            "vcon_uuid": uuid,
            "dialog_id": dialog.get("id", ""),
            "dialog_index": index,
            "encoding": dialog.get("encoding"),
            "mediatype": media_type_of(dialog),
        }
        content_hash = await asyncio.to_thread(hash_of, content)
        headers = _HEADERS | {"idempotency-key": f"{uuid}:{index}:{content_hash[7:39]}"}
        answer = await self._http.ask(
            self._url, content=encode(message), headers=headers, timeout=self._timeout
        )
        return Moved(_url_in(answer), content_hash)


def _url_in(answer: bytes) -> str:
    try:
        said = decode_plain(answer)
    except InvalidVcon:
        said = None
    url = said.get("url") if isinstance(said, dict) else None
    if not isinstance(url, str) or not url:
        raise Permanent("post_media_to_url: its answer names no url")
    return url


def media_type_of(dialog: Mapping[str, Any]) -> str:
    """What the dialog says of its content, else text for what is text."""
    said = plain(dialog.get("mediatype") or dialog.get("mimetype"))
    return said or ("text/plain" if dialog.get("type") == "text" else UNKNOWN)


def replace_body(dialog: dict[str, Any], moved: Moved | None, version: str | None) -> None:
    """Take the body out of a dialog; what was moved leaves its URL and hash, in the names of the
    document's version.
    """
    for name in ("body", "encoding"):
        dialog.pop(name, None)
    if moved is not None:
        for name in ("content_hash", "alg", "signature"):
            dialog.pop(name, None)
        dialog |= spell("dialog", moved._asdict(), version)
