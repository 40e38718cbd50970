"""/events: what happens to vCons, as server-sent events while it happens.

Nothing is replayed: a client that was away reads `/vcon/{uuid}/history`.
"""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from vconflow.api.call import Call
from vconflow.api.disconnect import wait_for_disconnect
from vconflow.api.parameters import Query
from vconflow.api.refusals import InvalidRequest
from vconflow.api.services import Topology
from vconflow.pipeline.event_feed import Gap, Listener, Wanted
from vconflow.ports.history import KINDS, HistoryRecord

__all__ = ["RETRY_MS", "stream"]

HEARTBEAT = 15.0
RETRY_MS = 3_000
"""After so many milliseconds a client should come back, told by `retry:`."""
_LAST_WORDS = 5.0
"""Seconds that a client gets to read the end of its stream."""
_MOST_NAMES = 100

_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
_encode = msgspec.json.Encoder().encode
_numbers = itertools.count(1)


async def stream(call: Call) -> ASGIApp:
    """Tell what happens to vCons while it happens: never content, only what history has.

    With `type`, `chain` or `list`, each of which may be repeated, only events that match one of
    each. An event `dropped` ends the stream of a client that does not keep up, `end` that of every
    client when the server stops; after an event `gap` some may be missing.
    """
    wanted = _wanted(call.query, call.services.topology)
    async with AsyncExitStack() as stack:
        listener = await stack.enter_async_context(call.services.events.listen(wanted))
        return _Stream(listener, stack.pop_all())


def _wanted(query: Query, topology: Callable[[], Topology]) -> Wanted:
    kinds, chains, lists = (_names(query, name) for name in ("type", "chain", "list"))
    if not kinds.issubset(KINDS):
        message = f"Input should be {', '.join(KINDS)}"
        raise InvalidRequest.at(("query", "type"), message, "enum")

    def of_chain(record: HistoryRecord) -> bool:
        if record.chain:
            return record.chain in chains
        feeds = topology().feeds
        return any(feeds.get(name) in chains for name in (record.list, *record.lists))

    def wanted(record: HistoryRecord) -> bool:
        return (
            (not kinds or record.kind in kinds)
            and (not lists or record.list in lists or not lists.isdisjoint(record.lists))
            and (not chains or of_chain(record))
        )

    return wanted


def _names(query: Query, name: str) -> frozenset[str]:
    names = query.several(name)
    if len(names) > _MOST_NAMES:
        message = f"List should have at most {_MOST_NAMES} items"
        raise InvalidRequest.at(("query", name), message, "too_long")
    return frozenset(names)


class _Stream:
    """The response; `held` is left when it ends."""

    def __init__(self, listener: Listener, held: AsyncExitStack) -> None:
        self._listener = listener
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        abort = scope.get("extensions", {}).get("vconflow.abort", lambda: None)
        async with self._held:
            writing = asyncio.ensure_future(self._write(send))
            gone = asyncio.ensure_future(wait_for_disconnect(receive))
            ending = asyncio.ensure_future(self._listener.wait_for_end())
            tasks = (writing, gone, ending)
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                if ending.done() and not gone.done():
                    # It may have stopped reading altogether: it is not waited for.
                    await asyncio.wait(
                        (writing, gone), timeout=_LAST_WORDS, return_when=asyncio.FIRST_COMPLETED
                    )
                    if not writing.done():
                        abort()
                if writing.done():
                    writing.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self, send: Send) -> None:
        async def write(text: bytes, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": text, "more_body": more})

        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await write(b"retry: %d\n\n" % RETRY_MS)
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT):
                    found = await self._listener.next()
            except TimeoutError:
                await write(b": still here\n\n")
                continue
            if not found:
                await write(self._last(), False)
                return
            await write(b"".join(map(_shown, found)))

    def _last(self) -> bytes:
        if self._listener.ended == "slow":
            told = {"missed": self._listener.missed, "reason": "too slow"}
            return _event("dropped", told)
        return _event("end", {"reason": self._listener.ended})


def _shown(event: HistoryRecord | Gap) -> bytes:
    if isinstance(event, Gap):
        return _event("gap", {"reason": "Redis was away: events may be missing"})
    return _event(event.kind, event, b"id: %d-%d\n" % (event.at, next(_numbers)))


def _event(name: str, data: Any, lines: bytes = b"") -> bytes:
    return b"event: %b\n%bdata: %b\n\n" % (name.encode(), lines, _encode(data))
