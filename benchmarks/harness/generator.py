"""A load generator for machines without wrk: slower, and so a lower ceiling for both sides."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvloop

from benchmarks.harness.documents import MARKER

_LENGTH = b"content-length:"
_PATIENCE_SECONDS = 30.0


@dataclass
class _Tally:
    deadline: float
    latencies: list[float] = field(default_factory=list)
    refused: int = 0
    broken: int = 0


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
        if not self._is_complete():
            return
        now = time.perf_counter()
        if now <= self._tally.deadline:
            self._tally.latencies.append(now - self._sent_at)
            self._tally.refused += not self._received.startswith(b"HTTP/1.1 2")
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        # Before the end of the window only a server that fails closes a connection.
        self._tally.broken += time.perf_counter() < self._tally.deadline
        self.closed.set_result(None)

    def _send(self) -> None:
        self._received = b""
        self._sent_at = time.perf_counter()
        self._transport.write(next(self._requests))

    def _is_complete(self) -> bool:
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return False
        lowered = head.lower()
        start = lowered.find(_LENGTH) + len(_LENGTH)
        return len(body) >= int(lowered[start:].partition(b"\r\n")[0])


def _requests(
    host: str, method: str, path: str, lines: list[bytes], prefix: str
) -> Iterator[bytes]:
    if method == "GET":
        yield from cycle(b"GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (x, host.encode()) for x in lines)
        return
    pieces = []
    for body in lines:
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        whole = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        pieces.append(whole.split(MARKER.encode()))
    for serial, (before, after) in zip(count(1), cycle(pieces), strict=False):
        yield before + f"{prefix}{serial:012x}".encode() + after


async def _load(url: str, connections: int, seconds: float, requests: Iterator[bytes]) -> _Tally:
    host, _, port = urlsplit(url).netloc.partition(":")
    loop = asyncio.get_running_loop()
    tally = _Tally(time.perf_counter() + seconds)
    opened = [
        await loop.create_connection(lambda: _Connection(requests, tally), host, int(port))
        for _ in range(connections)
    ]
    async with asyncio.timeout(seconds + _PATIENCE_SECONDS):
        await asyncio.gather(*(connection.closed for _, connection in opened))
    return tally


def main() -> None:
    """Arguments: URL, connections, seconds, then those of wrk.lua. Prints one line of JSON."""
    url, connections, seconds, method, path, file, prefix = sys.argv[1:]
    lines = Path(file).read_bytes().splitlines()
    requests = _requests(urlsplit(url).netloc, method, path, lines, prefix)
    tally = uvloop.run(_load(url, int(connections), float(seconds), requests))
    latencies = sorted(tally.latencies)
    report = {
        "requests": len(latencies),
        "seconds": float(seconds),
        "refused": tally.refused,
        "broken": tally.broken,
        "p50_ms": 1000 * latencies[len(latencies) // 2] if latencies else 0.0,
        "p99_ms": 1000 * latencies[len(latencies) * 99 // 100] if latencies else 0.0,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
