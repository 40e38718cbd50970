"""Popping the egress lists, with a client that now and then does not wait for its answer."""

import asyncio
import json
import time
from random import Random
from urllib.parse import urlsplit

from .api import Api
from .cases import Cases

__all__ = ["Egress"]

_PATIENCE = 8.0
_IMPATIENT = 0.05
"""Which part of the requests is given up early."""
_MOST_SECONDS = 60.0


class Egress:
    """Pops one list until it is cancelled.

    Whoever gives up only says that it sends nothing more, and still reads what comes. So it is
    always known whether vconflow handed out a whole answer: if it did not, the entries must come
    back.
    """

    def __init__(self, api: Api, cases: Cases, list_name: str, seed: int) -> None:
        self._api = api
        self._cases = cases
        self.list = list_name
        self._random = Random(seed)
        self.popped = 0
        self.last = time.monotonic()
        """When the last uuid came."""

    async def run(self) -> None:
        """Pop for ever."""
        while True:
            uuids = await self._pop(self._random.choice((1, 10, 50, 200)))
            for uuid in uuids or ():
                self._note(uuid)
            if not uuids:
                await asyncio.sleep(0.3)

    def _note(self, uuid: str) -> None:
        case = self._cases.all.get(uuid)
        if case is None:
            self._cases.problem(f"{self.list} handed out {uuid}, which nobody sent")
            return
        self.popped += 1
        self.last = time.monotonic()
        case.pops.setdefault(self.list, []).append(self.last)

    async def _pop(self, limit: int) -> list[str] | None:
        url = urlsplit(self._api.pick().url)
        request = f"GET /vcon/egress?egress_list={self.list}&limit={limit} HTTP/1.1\r\n"
        request += f"Host: {url.netloc}\r\nConnection: close\r\n\r\n"
        loop = asyncio.get_running_loop()
        try:
            transport, exchange = await loop.create_connection(
                _Exchange, url.hostname or "", url.port or 0
            )
        except OSError:
            return None
        try:
            transport.write(request.encode())
            await self._wait(transport, exchange)
        finally:
            transport.abort()
        status, uuids = _parsed(bytes(exchange.received))
        if status != 200:
            self._cases.counts[f"egress: {status or 'connection lost'}"] += 1
        return uuids

    async def _wait(self, transport: asyncio.Transport, exchange: "_Exchange") -> None:
        impatient = self._random.random() < _IMPATIENT
        patience = self._random.uniform(0, 0.02) if impatient else _PATIENCE
        if await exchange.ended_within(patience):
            return
        self._cases.counts["egress: gave up early" if impatient else "egress: no answer"] += 1
        if not transport.is_closing():
            transport.write_eof()
        if not await exchange.ended_within(_MOST_SECONDS):
            self._cases.problem(f"a pop of {self.list} did not end in {_MOST_SECONDS:g} s")
        if _parsed(bytes(exchange.received))[1]:
            self._cases.counts["egress: whole answer all the same"] += 1


class _Exchange(asyncio.Protocol):
    """Keeps all that is received, also of a connection that is reset, until it has ended."""

    def __init__(self) -> None:
        self.received = bytearray()
        self._ended = asyncio.Event()

    async def ended_within(self, seconds: float) -> bool:
        """Wait for the end of the connection; False when it takes longer."""
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            return self._ended.is_set()
        return True

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, error: Exception | None) -> None:
        self._ended.set()


def _parsed(answer: bytes) -> tuple[int, list[str] | None]:
    """The status, 0 without one, and the uuids of a whole answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.lower().split(b"\r\n")
    status = int(first.split()[1]) if first.startswith(b"http/1.1 ") else 0
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), -1)
    if status != 200 or len(body) != length:
        return status, None
    found: list[str] = json.loads(body)
    return status, found
