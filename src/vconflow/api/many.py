"""Answers of many vCons, of which few are in memory at a time."""

import asyncio
from collections.abc import Sequence
from typing import cast

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from vconflow.api.call import Call
from vconflow.errors import Overloaded, VconflowError

__all__ = ["many_response"]

_AT_ONCE = 8
# The answer has begun and cannot say "try again" any more, so it waits before it fails (seconds).
_PAUSES = (0.05, 0.2, 0.5, 1.0, 2.0)
_JSON = "application/json"


async def many_response(call: Call, uuids: Sequence[str]) -> ASGIApp:
    """Return an array of the documents in the order asked for, null for those that do not exist.

    Raises `Retryable` when the first ones cannot be had now. Later ones cut the connection.
    """
    first = await _joined(call, uuids[:_AT_ONCE])
    if len(uuids) <= _AT_ONCE:
        return Response(b"[" + first + b"]", media_type=_JSON)
    return _Many(call, b"[" + first, uuids[_AT_ONCE:])


class _Many:
    """Reads on when the client has taken what was read before."""

    def __init__(self, call: Call, begin: bytes, uuids: Sequence[str]) -> None:
        self._call = call
        self._begin = begin
        self._uuids = uuids

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        extensions = scope.get("extensions", {})
        headers = [(b"content-type", _JSON.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _send_part(send, self._begin)
        self._begin = b""
        for start in range(0, len(self._uuids), _AT_ONCE):
            if extensions.get("vconflow.is_closing", bool)():
                return
            try:
                part = await self._part(self._uuids[start : start + _AT_ONCE])
            except VconflowError:
                # The status is said already: only an answer without an end tells the client.
                extensions.get("vconflow.abort", bool)()
                return
            await _send_part(send, b"," + part)
            del part
        await send({"type": "http.response.body", "body": b"]"})

    async def _part(self, uuids: Sequence[str]) -> bytes:
        for pause in _PAUSES:
            self._call.hold_answer(0)
            try:
                return await _joined(self._call, uuids)
            except Overloaded:
                await asyncio.sleep(pause)
        self._call.hold_answer(0)
        return await _joined(self._call, uuids)


async def _joined(call: Call, uuids: Sequence[str]) -> bytes:
    held = 0

    async def document_of(uuid: str) -> bytes:
        nonlocal held
        document = await call.services.lookup.get(uuid)
        # As soon as it is there: so many requests at once must not each get theirs first.
        held += len(document or b"")
        call.hold_answer(held)
        return b"null" if document is None else document

    # All end before an error does: none may count its bytes after the request has ended.
    found = await asyncio.gather(*map(document_of, uuids), return_exceptions=True)
    for document in found:
        if isinstance(document, BaseException):
            raise document
    return b",".join(cast("list[bytes]", found))


async def _send_part(send: Send, part: bytes) -> None:
    await send({"type": "http.response.body", "body": part, "more_body": True})
