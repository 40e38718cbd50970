"""One request and its answer, whose head is written with less effort than uvicorn's own."""

from functools import lru_cache
from typing import cast

from uvicorn._types import ASGISendEvent, HTTPResponseBodyEvent
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

__all__ = ["Cycle"]

_OFTEN_NEW = frozenset({b"etag", b"x-request-id"})
_PIECE = 256 * 1024
_FRAMING = frozenset({b"connection", b"transfer-encoding"})


class Cycle(RequestResponseCycle):
    """Writes the head of a plain answer: of known length, on a connection that stays open.

    Most headers are the same in every answer: they are checked once, not each time. Whatever else
    there is to send goes the way of uvicorn.
    """

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.body" and len(message.get("body", b"")) > _PIECE:
            await self._send_in_pieces(message)
            return
        head = None
        if message["type"] == "http.response.start" and self._is_plain():
            # uvicorn's types know headers as any iterable; the application sends a list.
            head = self._head(message["status"], message["headers"])  # type: ignore[arg-type]
        if head is None:
            await super().send(message)
            return
        self.response_started = True
        self.waiting_for_100_continue = False
        self.chunked_encoding = False
        self.transport.write(head)

    async def _send_in_pieces(self, message: HTTPResponseBodyEvent) -> None:
        # Whoever sends waits until the last piece is on its way, and can count it until then.
        body = memoryview(message["body"])
        more = message.get("more_body", False)
        for start in range(0, len(body), _PIECE):
            end = start + _PIECE
            piece = cast("bytes", body[start:end])
            is_last = end >= len(body)
            await super().send(
                {"type": message["type"], "body": piece, "more_body": more or not is_last}
            )

    def _is_plain(self) -> bool:
        return (
            self.keep_alive
            and not self.response_started
            and not self.disconnected
            and not self.flow.write_paused
            and not self.access_log
        )

    def _head(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes | None:
        lines, length = [STATUS_LINE[status]], None
        for name, value in (*self.default_headers, *headers):
            if name == b"content-length":
                length = int(value)
                lines.append(b"content-length: %d\r\n" % length)
            elif name in _FRAMING:
                return None
            else:
                lines.append((_line if name in _OFTEN_NEW else _known_line)(name, value))
        if length is None:
            return None
        self.expected_content_length = length
        lines.append(b"\r\n")
        return b"".join(lines)


def _line(name: bytes, value: bytes) -> bytes:
    if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
        raise RuntimeError("Invalid HTTP header.")
    return b"%s: %s\r\n" % (name.lower(), value)


_known_line = lru_cache(maxsize=256)(_line)
