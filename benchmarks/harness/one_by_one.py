"""One vCon at a time through an idle service: from the POST until it is on an egress list."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median
from typing import Self
from urllib.parse import urlsplit

from benchmarks.harness.documents import fresh
from benchmarks.harness.figures import Sample
from benchmarks.harness.passage import PATH
from benchmarks.harness.processes import Service
from benchmarks.harness.requests import is_complete, is_good

__all__ = ["EGRESS", "OneByOne"]

EGRESS = "out"
_STREAM = f"vconflow:list:{EGRESS}"
_PATIENCE_MS = 60_000
_LEAST = 3


class OneByOne:
    """A client with one connection to the service and one that waits on the egress list."""

    def __init__(
        self, service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._service = service
        self._reader, self._writer = reader, writer
        self._last: bytes = b"0-0"

    @classmethod
    @asynccontextmanager
    async def open(cls, service: Service) -> AsyncIterator[Self]:
        """Connect."""
        host, _, port = urlsplit(service.url).netloc.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            yield cls(service, reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()

    async def window(self, seconds: float) -> Sample:
        """The median of the milliseconds that each took, one after the other for so long."""
        started = time.perf_counter()
        taken: list[float] = []
        while len(taken) < _LEAST or time.perf_counter() - started < seconds:
            ((uuid, document),) = fresh(1)
            taken.append(1000 * await self._pass(uuid, document))
        return Sample(median(taken))

    async def _pass(self, uuid: str, document: bytes) -> float:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(document)}\r\n\r\n".encode() + document
        read = ("XREAD", "BLOCK", _PATIENCE_MS, "STREAMS", _STREAM, self._last)
        # It waits already when the vCon arrives.
        waiting = asyncio.create_task(self._service.redis.execute_command(*read))
        await asyncio.sleep(0.005)
        started = time.perf_counter()
        self._writer.write(request)
        reply = await waiting
        elapsed = time.perf_counter() - started
        await self._answered()
        if not reply or len(reply[0][1]) != 1 or uuid.encode() not in reply[0][1][0][1]:
            raise RuntimeError(f"{uuid} did not come out, but {reply}")
        self._last = reply[0][1][0][0]
        return elapsed

    async def _answered(self) -> None:
        received = b""
        while not is_complete(received):
            data = await self._reader.read(1 << 16)
            if not data:
                raise RuntimeError("the server closed the connection")
            received += data
        if not is_good(received):
            raise RuntimeError(f"refused: {received.decode(errors='replace')[:500]}")
