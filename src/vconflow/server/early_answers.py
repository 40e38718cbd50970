"""Answers that are given before a request reaches the application."""

import asyncio
import secrets
from collections.abc import Callable

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

__all__ = ["Headers", "SoftTransport", "answer", "body_of", "headers_of"]

Headers = tuple[tuple[bytes, bytes], ...]


class SoftTransport:
    """What a request sends through: closing it lets a client that still sends read its answer."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


def answer(status: int, detail: str, headers: Headers) -> bytes:
    """The whole answer; the connection ends with it."""
    body = body_of(detail)
    lines = [b"%s: %s\r\n" % header for header in headers_of(body, headers)]
    return b"".join([STATUS_LINE[status], *lines, b"\r\n", body])


def body_of(detail: str) -> bytes:
    """The body that says why."""
    return msgspec.json.encode({"detail": detail})


def headers_of(body: bytes, headers: Headers) -> list[tuple[bytes, bytes]]:
    return [
        *headers,
        (b"x-request-id", secrets.token_hex(16).encode()),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
