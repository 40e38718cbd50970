"""One request and its answer, sent with less effort than by uvicorn's own."""

import asyncio
import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

from uvicorn._types import ASGI3Application, ASGIReceiveEvent, ASGISendEvent, HTTPScope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

from vconflow.server.early_answers import SoftTransport

__all__ = ["Cycle"]

_OFTEN_NEW = frozenset({b"etag", b"x-request-id"})
_PIECE = 256 * 1024
_FRAMING = frozenset({b"connection", b"transfer-encoding"})
_LOGGER = logging.getLogger("uvicorn.error")


class Cycle(RequestResponseCycle):
    """Sends a plain answer, of known length on a connection that stays open, in one piece.

    Most headers are the same in every answer: they are checked once, not each time. Whatever else
    there is to send goes the way of uvicorn. `run_asgi` takes its `task` out of `tasks` at the end.
    """

    def __init__(
        self,
        scope: HTTPScope,
        transport: SoftTransport,
        flow: FlowControl,
        default_headers: list[tuple[bytes, bytes]],
        tasks: set[asyncio.Task[None]],
        on_response: Callable[[], None],
        *,
        keep_alive: bool,
        expect_100_continue: bool,
    ) -> None:
        # All that uvicorn's own constructor sets, which takes what never differs here as well.
        self.scope = scope
        self.transport = cast("asyncio.Transport", transport)
        self.flow = flow
        self.logger = self.access_logger = _LOGGER
        self.access_log = False
        self.default_headers = default_headers
        self.message_event = asyncio.Event()
        self.on_response = on_response
        self.disconnected = False
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = expect_100_continue
        self.more_body = True
        self.response_started = self.response_complete = False
        self.chunked_encoding = None
        self.expected_content_length = 0
        self.chunk = b""
        self.task: asyncio.Task[None] | None = None
        self._tasks = tasks
        self._head = b""

    async def run_asgi(self, app: ASGI3Application) -> None:
        try:
            await super().run_asgi(app)
        finally:
            # A callback of the task would cost a turn of the loop.
            if self.task is not None:
                self._tasks.discard(self.task)
                self.task = None

    async def receive(self) -> ASGIReceiveEvent:
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not self.disconnected and not self.response_complete:
            self.flow.resume_reading()
            # Mostly the whole body has come by the time that it is asked for.
            if self.more_body or not self.chunk:
                await self.message_event.wait()
            self.message_event.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.chunk = self.chunk, b""
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    def answer(self, status: int, lines: bytes, body: bytes) -> bool:
        """Send a whole answer; False, and nothing was sent, when it has to go the way of messages.

        `lines` are the headers as they are written, content-length among them, and nothing that
        concerns the connection. Not for the answer to a HEAD.
        """
        if len(body) > _PIECE or not self._is_plain():
            return False
        own = []
        for name, value in self.default_headers:
            if name in _FRAMING:  # the connection is to end with this answer
                return False
            own.append(_known_line(name, value))
        self.waiting_for_100_continue = False
        self.response_started = self.response_complete = True
        self.transport.write(b"".join((STATUS_LINE[status], *own, lines, b"\r\n", body)))
        self.message_event.set()
        self.on_response()
        return True

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.body":
            await self._send_body(cast("dict[str, Any]", message))
            return
        head = None
        if message["type"] == "http.response.start" and self._is_plain():
            # uvicorn's types know headers as any iterable; the application sends a list.
            head = self._head_of(message["status"], message["headers"])  # type: ignore[arg-type]
        if head is None:
            await super().send(message)
            return
        self.response_started = True
        self.waiting_for_100_continue = False
        self.chunked_encoding = False
        # Together with the body it is one call of the system instead of two.
        self._head = head

    async def _send_body(self, message: dict[str, Any]) -> None:
        body = message.get("body", b"")
        head, self._head = self._head, b""
        if head and (len(body) > _PIECE or self.scope["method"] == "HEAD"):
            self.transport.write(head)
        elif head:
            self.expected_content_length += len(head)
            message = {**message, "body": head + body}
        if len(body) > _PIECE:
            await self._send_in_pieces(message)
        else:
            await super().send(cast("ASGISendEvent", message))

    async def _send_in_pieces(self, message: dict[str, Any]) -> None:
        # Whoever sends waits until the last piece is on its way, and can count it until then.
        body = memoryview(message["body"])
        more = message.get("more_body", False)
        for start in range(0, len(body), _PIECE):
            end = start + _PIECE
            piece = cast("bytes", body[start:end])
            is_last = end >= len(body)
            await super().send(
                {"type": "http.response.body", "body": piece, "more_body": more or not is_last}
            )

    def _is_plain(self) -> bool:
        return (
            self.keep_alive
            and not self.response_started
            and not self.disconnected
            and not self.flow.write_paused
        )

    def _head_of(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes | None:
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
