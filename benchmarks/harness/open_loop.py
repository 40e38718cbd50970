"""A load generator that sends at set times, however long the answers take.

Every request has its time before the load begins, and its latency counts from then: a request that
waits because those before it are not answered yet has waited all the same. A generator that sends
the next request when the last one is answered would not even notice ("coordinated omission").
"""

import gc
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from benchmarks.harness.requests import Load, is_complete, is_good, load_of, read_requests

_PATIENCE_SECONDS = 30.0
_IDLE_SECONDS = 1.0
_CHUNK = 1 << 18


class _Connection:
    """One request at a time; `due` is when the one under way had to be sent."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self._received = b""

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, request: bytes, due: float) -> None:
        self.due, self._received = due, b""
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """The whole answer once it is there. Raises ConnectionError."""
        data = self.socket.recv(_CHUNK)
        if not data:
            raise ConnectionError("the server closed a connection")
        self._received += data
        return self._received if is_complete(self._received) else None


def _load(
    connections: list[_Connection], rate: float, number: int, requests: Iterator[bytes]
) -> Load:
    free, busy = deque(connections), set[_Connection]()
    latencies: list[float] = []
    refused = sent = 0
    started = time.perf_counter()
    give_up = started + number / rate + _PATIENCE_SECONDS
    while len(latencies) < number and (now := time.perf_counter()) < give_up:
        while free and sent < number and (due := started + sent / rate) <= now:
            connection = free.popleft()
            connection.send(next(requests), due)
            busy.add(connection)
            sent += 1
        wait = _IDLE_SECONDS
        if free and sent < number:
            wait = max(0.0, started + sent / rate - time.perf_counter())
        # select() counts in microseconds, epoll and the timers of event loops in milliseconds.
        for connection in select.select(busy, (), (), wait)[0]:
            answer = connection.receive()
            if answer is not None:
                latencies.append(time.perf_counter() - connection.due)
                refused += not is_good(answer)
                busy.remove(connection)
                free.append(connection)
    return load_of(latencies, time.perf_counter() - started, refused, number - len(latencies))


def main() -> None:
    """Arguments: URL, connections, seconds, requests per second, then those of wrk.lua."""
    url, connections, seconds, rate, *what = sys.argv[1:]
    host, _, port = urlsplit(url).netloc.partition(":")
    requests = read_requests(urlsplit(url).netloc, *what)
    opened = [_Connection(host, int(port)) for _ in range(int(connections))]
    gc.disable()
    number = max(1, int(float(seconds) * float(rate)))
    print(msgspec.json.encode(_load(opened, float(rate), number, requests)).decode())


if __name__ == "__main__":
    main()
