"""Bytes in, bytes out: bodies are read up to a limit, stored vCons are sent as they are."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Message, Receive

from vconflow.api.gzipped import inflate
from vconflow.api.refusals import Disconnected, InvalidRequest, TooLarge, UnsupportedBody

__all__ = [
    "GZIP_MAGIC",
    "StoredVcon",
    "body_chunks",
    "decode_json",
    "echo_response",
    "etag_of",
    "is_gzip_declared",
    "json_response",
    "media_type",
    "read_body",
    "require_type",
    "vcon_response",
]

_JSON = "application/json"
_JSON_HEADER = (b"content-type", _JSON.encode())
_GZIPPED = "application/vcon+gzip"
_ACCEPTED = frozenset({_JSON, "application/vcon", "application/vcon+json", _GZIPPED})
GZIP_MAGIC = b"\x1f\x8b"
_NOT_ENCODED = frozenset({b"", b"identity"})
_GZIP = frozenset({b"gzip", b"x-gzip"})
# Work on more bytes than this would hold up the event loop for longer than a few milliseconds.
_BIG = 256 * 1024

Headers = Mapping[bytes, bytes]


def media_type(headers: Headers) -> str:
    """Return the content type in lower case without its parameters, empty if none was sent."""
    value = headers.get(b"content-type", b"")
    return value.partition(b";")[0].strip().lower().decode("latin-1")


def require_type(headers: Headers, *others: str) -> None:
    """Raise UnsupportedBody for a content type that is neither JSON, a vCon nor one of others."""
    kind = media_type(headers)
    if kind and kind not in _ACCEPTED and kind not in others:
        known = sorted((*_ACCEPTED, *others))
        raise UnsupportedBody(f"Content-Type must be one of {', '.join(known)}")


def is_gzip_declared(headers: Headers) -> bool:
    """Tell whether Content-Encoding says gzip. Raises UnsupportedBody for any other encoding."""
    encoding = headers.get(b"content-encoding", b"").strip().lower()
    if encoding in _NOT_ENCODED:
        return False
    if encoding in _GZIP:
        return True
    raise UnsupportedBody("Content-Encoding must be gzip or identity")


async def read_body(
    headers: Headers, receive: Receive, limit: int, hold: Callable[[int], None]
) -> bytes:
    """Return the inflated body of at most `limit` bytes.

    `hold` is told how many bytes are in memory, and may refuse them. Raises UnsupportedBody,
    TooLarge (before the rest of the body is read), InvalidRequest for broken gzip, Disconnected.
    """
    require_type(headers)
    packed = is_gzip_declared(headers)
    if int(headers.get(b"content-length", 0)) > limit:
        raise TooLarge(limit)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise TooLarge(limit)
    else:
        body = await _read_rest(message, receive, limit, hold)
    if packed and not body.startswith(GZIP_MAGIC):
        raise InvalidRequest.at(("body",), "the body is not gzip", "bad_gzip")
    if not body.startswith(GZIP_MAGIC):
        return body
    inflated = await _inflated(body, limit)
    hold(len(inflated))
    return inflated


async def _inflated(body: bytes, limit: int) -> bytes:
    # A gzipped vCon may itself have been sent gzipped; JSON never starts with the magic bytes.
    for _ in range(2):
        if not body.startswith(GZIP_MAGIC):
            break
        body = await asyncio.to_thread(inflate, body, limit)
    return body


async def _read_rest(
    message: Message, receive: Receive, limit: int, hold: Callable[[int], None]
) -> bytes:
    """The body that begins with this message."""
    chunks, size = [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise Disconnected("while sending its body")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise TooLarge(limit)
        hold(size)
        if not message.get("more_body", False):
            return b"".join(chunks)
        message = await receive()


async def body_chunks(receive: Receive) -> AsyncIterator[bytes]:
    """Yield the body as it comes, without a limit. Raises Disconnected."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected("while sending its body")
        if chunk := message.get("body", b""):
            yield chunk
        if not message.get("more_body", False):
            return


def decode_json(body: bytes, type: Any) -> Any:
    """Decode a body that is no vCon. Raises InvalidRequest, which does not quote the body."""
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.ValidationError as error:
        raise InvalidRequest.at(("body",), str(error), "type_error") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest.at(("body",), "JSON decode error", "json_invalid") from None


class StoredVcon(Response):
    """The bytes of a vCon; makes its headers for less than its base does.

    `lines` are the headers as they are written.
    """

    def __init__(self, document: bytes, status: int, etag: bytes = b"") -> None:
        self.body = document
        self.status_code = status
        self.background = None
        self._etag = etag

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:  # type: ignore[override]
        headers = [(b"content-length", b"%d" % len(self.body)), _JSON_HEADER]
        return [*headers, (b"etag", self._etag)] if self._etag else headers

    @property
    def lines(self) -> bytes:
        length = len(self.body)
        if not self._etag:
            return b"content-length: %d\r\ncontent-type: application/json\r\n" % length
        return b"content-length: %d\r\ncontent-type: application/json\r\netag: %s\r\n" % (
            length,
            self._etag,
        )


def json_response(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return `value` as JSON."""
    return Response(msgspec.json.encode(value), status, headers, _JSON)


async def vcon_response(document: bytes, status: int = 200) -> Response:
    """Return a stored vCon byte for byte, with its ETag."""
    return StoredVcon(document, status, (await etag_of(document)).encode())


def echo_response(document: bytes, status: int) -> Response:
    """Return a vCon as it was sent."""
    return StoredVcon(document, status)


async def etag_of(document: bytes) -> str:
    """Return the strong ETag of a document: the quoted hash of its bytes."""
    if len(document) > _BIG:
        return await asyncio.to_thread(_etag, document)
    return _etag(document)


def _etag(document: bytes) -> str:
    return f'"{hashlib.blake2b(document, digest_size=16).hexdigest()}"'
