"""What the generators in Python send and what they understand of the answers."""

from collections.abc import Iterator, Sequence
from itertools import count, cycle
from pathlib import Path

import msgspec

from benchmarks.harness.documents import MARKER

__all__ = ["Load", "is_complete", "is_good", "load_of", "read_requests"]

_LENGTH = b"content-length:"


class Load(msgspec.Struct, frozen=True):
    """What was answered within `seconds`; latencies in milliseconds.

    `refused` are answers other than 2xx, `broken` connections that failed or never answered.
    """

    requests: int
    seconds: float
    refused: int
    broken: int
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def read_requests(host: str, method: str, file: str, prefix: str) -> Iterator[bytes]:
    """Whole requests without end, from a file as wrk.lua reads it."""
    lines = Path(file).read_bytes().splitlines()
    if method == "GET":
        yield from cycle(
            [b"GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (x, host.encode()) for x in lines]
        )
        return
    pieces = [_post(host, *line.split(b" ", 1)) for line in lines]
    for serial, (before, after) in zip(count(1), cycle(pieces), strict=False):
        yield before + f"{prefix}{serial:012x}".encode() + after


def is_complete(received: bytes) -> bool:
    """Whether an answer is there with its whole body."""
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        return False
    lowered = head.lower()
    start = lowered.find(_LENGTH) + len(_LENGTH)
    return len(body) >= int(lowered[start:].partition(b"\r\n")[0])


def is_good(received: bytes) -> bool:
    """Whether an answer is a 2xx."""
    return received.startswith(b"HTTP/1.1 2")


def load_of(latencies: Sequence[float], seconds: float, refused: int, broken: int) -> Load:
    """What a generator prints, from the seconds that each request took."""
    ordered = sorted(latencies) or [0.0]
    return Load(
        requests=len(latencies),
        seconds=seconds,
        refused=refused,
        broken=broken,
        p50_ms=1000 * ordered[len(ordered) // 2],
        p99_ms=1000 * ordered[len(ordered) * 99 // 100],
    )


def _post(host: str, path: bytes, body: bytes) -> tuple[bytes, bytes]:
    head = f"Host: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    whole = b"POST %s HTTP/1.1\r\n%s%s" % (path, head.encode(), body)
    before, _, after = whole.partition(MARKER.encode())
    return before, after
