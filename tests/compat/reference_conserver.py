"""A loopback server that speaks the wire protocol of the reference conserver's egress.

What it pops is gone, it knows no leases, and it says 404 and 403 in the words of its framework.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TOKEN = "key-of-the-other-side"


@dataclass(frozen=True)
class Answer:
    """A reply; with `delay` seconds before it."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0


class ReferenceConserver:
    """Its lists and vCons; `decide` may answer a request (its path) in another way."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.documents: dict[str, bytes] = {}
        self.lists: dict[str, deque[object]] = {}
        self.requests: list[str] = []
        self.popped: list[object] = []
        self.decide: Callable[[str], Answer | None] = lambda path: None
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.conserver = self  # type: ignore[attr-defined]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{self.prefix}"

    def offer(self, name: str, documents: Mapping[str, bytes]) -> None:
        """Put vCons on an egress list."""
        with self._lock:
            self.documents |= documents
            self.lists.setdefault(name, deque()).extend(documents)

    def asked(self, part: str) -> int:
        """How many requests had this in their path."""
        with self._lock:
            return sum(part in path for path in self.requests)

    def answer(self, method: str, target: str, token: str | None) -> Answer:
        """What a request is told."""
        url = urlsplit(target)
        with self._lock:
            self.requests.append(url.path)
        decided = self.decide(url.path)
        if decided is not None:
            return decided
        path = url.path.removeprefix(self.prefix)
        if not url.path.startswith(self.prefix) or method != "GET":
            return _told(404, "Not Found")
        if token != TOKEN:
            return _told(403, "Invalid API Key")
        if path == "/vcon/egress":
            return self._pop(parse_qs(url.query))
        if path.startswith("/vcon/"):
            document = self.documents.get(path.removeprefix("/vcon/"))
            return Answer(200, document) if document is not None else _told(404, "vCon not found")
        return _told(404, "Not Found")

    def _pop(self, query: dict[str, list[str]]) -> Answer:
        with self._lock:
            waiting = self.lists.get(query["egress_list"][0], deque())
            count = min(int(query["limit"][0]), len(waiting))
            popped = [waiting.popleft() for _ in range(count)]
            self.popped += popped
        return Answer(200, json.dumps(popped).encode())


def _told(status: int, detail: str) -> Answer:
    return Answer(status, json.dumps({"detail": detail}).encode())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._reply()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self._reply()

    def _reply(self) -> None:
        conserver: ReferenceConserver = self.server.conserver  # type: ignore[attr-defined]
        answer = conserver.answer(
            self.command, self.path, self.headers.get("x-conserver-api-token")
        )
        time.sleep(answer.delay)
        try:
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
        except OSError:
            self.close_connection = True  # the client was killed

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def reference_conserver(prefix: str = "") -> Iterator[ReferenceConserver]:
    """Run one in threads of its own."""
    conserver = ReferenceConserver(prefix)
    thread = threading.Thread(target=conserver._server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield conserver
    finally:
        conserver._server.shutdown()
        conserver._server.server_close()
        thread.join()
