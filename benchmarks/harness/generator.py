"""A load generator for machines without wrk: slower, and so a lower ceiling for both sides."""

import asyncio
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import msgspec
import uvloop

from benchmarks.harness.requests import is_complete, is_good, load_of, read_requests

_PATIENCE_SECONDS = 30.0


@dataclass
class _Tally:
    started: float
    seconds: float
    latencies: list[float] = field(default_factory=list)
    last: float = 0.0
    refused: int = 0
    broken: int = 0

    @property
    def is_over(self) -> bool:
        """Whether the window is; it goes on until something was answered at all."""
        return time.perf_counter() > self.started + self.seconds and bool(self.latencies)


class _Connection(asyncio.Protocol):
    """Sends the next request when the answer to the last one is complete."""

    def __init__(self, requests: Iterator[bytes], tally: _Tally) -> None:
        self.closed = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._tally = tally
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Those of uvloop are no asyncio.Transport, they only behave like one.
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not is_complete(self._received):
            return
        if self._tally.is_over:
            self._transport.close()
            return
        self._tally.latencies.append(time.perf_counter() - self._sent_at)
        self._tally.refused += not is_good(self._received)
        self._tally.last = time.perf_counter()
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        # Before the end of the window only a server that fails closes a connection.
        self._tally.broken += not self._tally.is_over
        self.closed.set_result(None)

    def _send(self) -> None:
        self._received = b""
        self._sent_at = time.perf_counter()
        self._transport.write(next(self._requests))


async def _load(url: str, connections: int, seconds: float, requests: Iterator[bytes]) -> _Tally:
    host, _, port = urlsplit(url).netloc.partition(":")
    loop = asyncio.get_running_loop()
    tally = _Tally(time.perf_counter(), seconds)
    opened = [
        await loop.create_connection(lambda: _Connection(requests, tally), host, int(port))
        for _ in range(connections)
    ]
    async with asyncio.timeout(seconds + _PATIENCE_SECONDS):
        await asyncio.gather(*(connection.closed for _, connection in opened))
    return tally


def main() -> None:
    """Arguments: URL, connections, seconds, then those of wrk.lua. Prints one line of JSON."""
    url, connections, seconds, *what = sys.argv[1:]
    requests = read_requests(urlsplit(url).netloc, *what)
    tally = uvloop.run(_load(url, int(connections), float(seconds), requests))
    elapsed = max(float(seconds), tally.last - tally.started)
    load = load_of(tally.latencies, elapsed, tally.refused, tally.broken)
    print(msgspec.json.encode(load).decode())


if __name__ == "__main__":
    main()
