"""POST /vcons: one vCon, or a stream of them, one a line, in flat memory."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from starlette.types import ASGIApp

from vconflow.api import vcons
from vconflow.api.call import Call
from vconflow.api.codec import (
    GZIP_MAGIC,
    body_chunks,
    is_gzip_declared,
    json_response,
    media_type,
    require_type,
)
from vconflow.api.errors import detail_of
from vconflow.api.gzipped import Inflater
from vconflow.api.idempotency import idempotency_key
from vconflow.api.lines import Line, Lines
from vconflow.api.lists import ingress_lists
from vconflow.api.refusals import TooLarge
from vconflow.api.services import AcceptedVcon
from vconflow.errors import Conflict, InvalidVcon, Overloaded, VconflowError

__all__ = ["create"]

ResultT = TypeVar("ResultT")

_BULK_TYPES = ("application/x-ndjson", "application/ndjson")
_WINDOW_LINES = 256
_WINDOW_BYTES = 8 * 1024 * 1024
_REPORTED = 1_000
# A bulk load is the one client that can wait, so it yields before it fails (seconds).
_PAUSES = (0.05, 0.2, 0.5, 1.0, 2.0)


async def create(call: Call) -> ASGIApp:
    """Store one vCon, or all lines of a bulk body."""
    if media_type(call.headers) not in _BULK_TYPES:
        require_type(call.headers, *_BULK_TYPES)
        return await vcons.create(call)
    load = BulkLoad(call)
    try:
        await load.run(_pieces(call))
    finally:
        # Not the uuids: there may be millions, and the history of each vCon names its source.
        call.note(**load.counts())
    return json_response(load.report())


async def _pieces(call: Call) -> AsyncIterator[bytes]:
    inflater = Inflater() if is_gzip_declared(call.headers) else None
    is_first = True
    async for chunk in _begun(body_chunks(call.receive)):
        if is_first and inflater is None and chunk.startswith(GZIP_MAGIC):
            inflater = Inflater()  # gzip that does not say so, as POST /vcon takes it too
        is_first = False
        if inflater is None:
            yield chunk
            continue
        for piece in inflater.feed(chunk):
            yield piece
            await asyncio.sleep(0)  # one chunk may inflate to a thousand times its size
    if inflater is not None:
        inflater.finish()


async def _begun(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the chunks, the first one long enough to tell gzip by."""
    head = b""
    async for chunk in chunks:
        head += chunk
        if len(head) >= len(GZIP_MAGIC):
            yield head
            break
    else:
        if head:
            yield head
        return
    async for chunk in chunks:
        yield chunk


class BulkLoad:
    """Submits one line after the other, and waits for their results side by side.

    So a line never overtakes an older one of its vCon, however long that took to be validated or
    to find room. A window holds back the sender when it is full.

    A line that can never be accepted is reported and the load goes on; anything else ends it with
    an error when the lines under way are through. What was accepted before stays accepted.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._lists = ingress_lists(call)
        self._key = idempotency_key(call)
        self._limit = call.services.settings.vconflow_max_body_bytes
        self._running = 0
        self._held = 0
        self._room = asyncio.Event()
        self._failure: VconflowError | None = None
        self._accepted = 0
        self._rejected_count = 0
        self._rejected: list[tuple[int, Any]] = []

    async def run(self, pieces: AsyncIterator[bytes]) -> None:
        """Read to the end of the body. Raises what ended the load early."""
        async with asyncio.TaskGroup() as group:
            try:
                await self._read(pieces, group)
            except VconflowError as error:
                # Kept for later, so that the group waits for its lines and cancels none.
                self._failure = self._failure or error
        if self._failure is not None:
            raise self._failure

    def report(self) -> dict[str, Any]:
        """Return the counts and the first 1,000 rejected lines, in order."""
        rejected = sorted((-place, detail) for place, detail in self._rejected)
        return {
            "accepted": self._accepted,
            "rejected_count": self._rejected_count,
            "rejected": [{"line": number, "detail": detail} for number, detail in rejected],
        }

    def counts(self) -> dict[str, Any]:
        """The lists that were asked for, and how many lines were accepted so far."""
        return {"lists": self._lists, "accepted": self._accepted}

    async def _read(self, pieces: AsyncIterator[bytes], group: asyncio.TaskGroup) -> None:
        lines = Lines(self._limit)
        async for piece in pieces:
            await self._make_room(lines.size + len(piece))
            for line in lines.feed(piece):
                await self._begin(line, group)
        for line in lines.finish():
            await self._begin(line, group)

    async def _begin(self, line: Line, group: asyncio.TaskGroup) -> None:
        number, text = line
        if text is None:
            self._reject(number, TooLarge(self._limit))
            return
        while self._is_full(len(text)):
            self._room.clear()
            await self._room.wait()
        if self._failure is not None:
            raise self._failure
        try:
            accepting = await self._submit(number, text)
        except (InvalidVcon, Conflict) as error:
            self._reject(number, error)
            return
        self._running += 1
        self._held += len(text)
        group.create_task(self._finish(number, len(text), accepting))

    async def _make_room(self, more: int) -> None:
        """Count what is in memory of this load."""

        async def hold() -> None:
            self._call.hold_body(self._held + more)

        await _patiently(hold)

    def _is_full(self, more: int) -> bool:
        if not self._running:
            return False
        return self._running >= _WINDOW_LINES or self._held + more > _WINDOW_BYTES

    async def _submit(self, number: int, text: bytes) -> Awaitable[AcceptedVcon]:
        call = self._call
        # A load that is repeated after a cut finds again what it had brought, line by line.
        key = f"{self._key}\n{number}" if self._key else ""
        return await _patiently(
            lambda: call.services.ingest.submit(
                text,
                self._lists,
                source="bulk",
                owner=call.owner,
                trace=call.trace,
                idempotency_key=key,
            )
        )

    async def _finish(self, number: int, size: int, accepting: Awaitable[AcceptedVcon]) -> None:
        try:
            await accepting
            self._accepted += 1
        except (InvalidVcon, Conflict) as error:
            self._reject(number, error)
        except VconflowError as error:
            self._failure = self._failure or error
        finally:
            self._running -= 1
            self._held -= size
            self._room.set()

    def _reject(self, number: int, error: VconflowError) -> None:
        self._rejected_count += 1
        # Lines end out of order: of those reported so far the last one makes way.
        # The error itself would keep its traceback, and that the line.
        heapq.heappush(self._rejected, (-number, detail_of(error)))
        if len(self._rejected) > _REPORTED:
            heapq.heappop(self._rejected)


async def _patiently(attempt: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """Try again for a few seconds while others hold too much."""
    for pause in _PAUSES:
        try:
            return await attempt()
        except Overloaded:
            await asyncio.sleep(pause)
    return await attempt()
