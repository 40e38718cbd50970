"""A loopback HTTP server that records what it is sent, and misbehaves on request."""

import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

__all__ = ["Received", "Reply", "WebhookReceiver", "webhook_receiver"]


@dataclass(frozen=True)
class Received:
    """One POST; the names of its headers are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """How to answer one request.

    `fault` is `hang` (say nothing until the receiver stops or `release` is called), `reset` (cut
    the connection) or `cut` (cut it in the middle of the body). `delay` is in seconds.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0
    fault: Literal["", "hang", "reset", "cut"] = ""


class WebhookReceiver:
    """Records requests; answers with the replies given by `answer` in turn, then with `default`.

    With `decide`, that chooses every reply, in the thread of its request, and nothing is recorded:
    for runs that last.
    """

    def __init__(self, decide: Callable[[Received], Reply] | None = None) -> None:
        self.default = Reply()
        self._decide = decide
        self._replies: deque[Reply] = deque()
        self._received: list[Received] = []
        self._news = threading.Condition()
        self._released = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.receiver = self

    @property
    def url(self) -> str:
        """The address of the receiver, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def received(self) -> list[Received]:
        """A copy of what has been received so far, in order of arrival."""
        with self._news:
            return list(self._received)

    def answer(self, *replies: Reply) -> None:
        """Queue replies for the next requests, one each."""
        with self._news:
            self._replies.extend(replies)

    def release(self) -> None:
        """Let requests that hang be answered with status 200, now and from now on."""
        self._released.set()

    def wait_for(self, count: int, timeout: float = 30.0) -> list[Received]:
        """Block until `count` requests have come. Raises TimeoutError; not for the event loop."""
        with self._news:
            if not self._news.wait_for(lambda: len(self._received) >= count, timeout):
                raise TimeoutError(f"{len(self._received)} of {count} requests came")
            return list(self._received)

    def record(self, received: Received) -> Reply:
        """Note a request and return how to answer it."""
        if self._decide is not None:
            return self._decide(received)
        with self._news:
            self._received.append(received)
            self._news.notify_all()
            return self._replies.popleft() if self._replies else self.default

    def serve(self) -> None:
        """Serve until `close`."""
        self._server.serve_forever(poll_interval=0.02)

    def hang(self) -> None:
        """Wait for `release`."""
        self._released.wait()

    def close(self) -> None:
        """Stop serving and let every request that hangs go."""
        self._released.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    receiver: WebhookReceiver
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that go away are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", "0"))
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(length)
        if len(body) < length:  # the client died in the middle of it: that was no request
            self.close_connection = True
            return
        received = Received(self.path, headers, body)
        reply = self.server.receiver.record(received)
        if reply.delay:
            time.sleep(reply.delay)
        if reply.fault == "reset":
            self._reset()
        else:
            if reply.fault == "hang":
                self.server.receiver.hang()
            self._send(reply)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the requests are recorded."""

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if reply.fault == "cut":
            self.wfile.write(reply.body[: len(reply.body) // 2])
            self.wfile.flush()
            self._reset()
        else:
            self.wfile.write(reply.body)

    def _reset(self) -> None:
        # A linger time of zero makes close send RST.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.connection.close()


@contextmanager
def webhook_receiver(
    decide: Callable[[Received], Reply] | None = None,
) -> Iterator[WebhookReceiver]:
    """Run a receiver on a free port in a thread of its own."""
    receiver = WebhookReceiver(decide)
    thread = threading.Thread(target=receiver.serve, name="webhook-receiver", daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.close()
        thread.join()
