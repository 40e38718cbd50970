"""HTTP/1.1 from clients that are slow, greedy or broken: each is answered and let go."""

import asyncio
from typing import Any, NamedTuple, cast
from urllib.parse import unquote

import httptools
from uvicorn._types import ASGI3Application, HTTPScope
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from vconflow.server.cycle import Cycle
from vconflow.server.early_answers import Headers, SoftTransport, answer, body_of, headers_of
from vconflow.telemetry import events

__all__ = ["HttpProtocol", "Limits"]

# GET /vcons may name a thousand uuids, which is 50 kB.
_MOST_URL = 64 * 1024
_MOST_HEADERS = 100
_MOST_HEADER_BYTES = 64 * 1024
_SMALL_HEAD = min(_MOST_URL, _MOST_HEADER_BYTES)
_MOST_BESIDE = 64 * 1024
"""Bytes beside a body that may come in a row: trailers, and extensions of chunks."""
_LEAST_PROGRESS = 1024
"""Bytes that a body must grow, and an answer shrink, within `Limits.body`."""
_OF_UPGRADES = frozenset({b"connection", b"upgrade", b"http2-settings"})
_OF_PROXIES = frozenset({b"x-forwarded-for", b"x-forwarded-proto"})
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 1024 * 1024


class Limits(NamedTuple):
    """Seconds that a head and a KiB of body may take, and how many connections there may be."""

    head: float = 10.0
    body: float = 30.0
    connections: int = 4096
    headers: Headers = ()
    """On every answer that is given here, before a request reaches the application."""


_NO_PROXY = (405, "CONNECT is not served")
_URL_TOO_LONG = (414, f"The URL is longer than {_MOST_URL} bytes")
_TOO_MANY_HEADERS = (431, f"There are more than {_MOST_HEADERS} headers")
_HEADERS_TOO_LARGE = (431, f"The headers are larger than {_MOST_HEADER_BYTES} bytes")


class _Refused(Exception):
    """The head of a request is refused with a status."""


class HttpProtocol(HttpToolsProtocol):
    """One connection. The server calls `check` now and then, so that none needs timers.

    In the scope's extensions it tells handlers whether what they send goes anywhere
    (`vconflow.is_closing`), and whether part of the body has not come yet (`vconflow.is_unread`),
    lets them cut the connection (`vconflow.abort`), and takes a whole answer at once
    (`vconflow.answer`, see `Cycle.answer`). `proxied` is the application for requests in which a
    proxy tells where they came from.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: Limits,
        proxied: ASGI3Application | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._proxied = proxied or self.app
        self._is_proxied = False
        self._asgi = {"version": self.asgi_version, "spec_version": "2.3"}
        self._running: RequestResponseCycle | None = None
        self._refusal: tuple[int, str] | None = None
        self._in_head = False
        self._upgrading = ""
        self._head_since: float | None = None
        self._idle_since: float | None = None
        self._head_bytes = 0
        self._chunk = 0
        self._body_since = 0.0
        self._body_bytes = 0
        self._beside = 0
        self._unsent = 0
        self._unsent_since = 0.0
        self._lingering_since: float | None = None
        self._lingered = 0
        self._is_last = False

    # uvicorn declares it like this and ignores the difference to asyncio as well.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._soft = SoftTransport(transport, self._end)
        # Of the request that is at work: one dict for all, and none that refers to its own scope.
        self._extensions: dict[str, Any] = {
            "vconflow.is_closing": transport.is_closing,
            "vconflow.abort": transport.abort,
            "vconflow.is_unread": self._is_unread,
            "vconflow.answer": self._answer,
        }
        self._head_since = self.loop.time()
        if len(self.connections) > 2 * self._limits.connections:
            events.connection_refused("too_many_connections")
            transport.abort()
        elif len(self.connections) > self._limits.connections:
            self.app = self._proxied = self._too_many

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # The one at work may not be the one that came last, which uvicorn has just told.
        running = self._running
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()
        self.pipeline.clear()
        # It refers to this connection, which refers to it.
        self._extensions = {}

    def data_received(self, data: bytes) -> None:
        self._chunk = len(data)
        if self._lingering_since is not None:
            self._lingered += len(data)
            if self._lingered > _LINGER_BYTES:
                self.transport.close()
            return
        if self._idle_since is not None:
            # Whatever it is, a blank line too: from now on a head is expected.
            self._head_since, self._idle_since = self.loop.time(), None
        elif self._in_head:
            self._head_bytes += len(data)
        self._beside += len(data)
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._feed_again(data, upgrade)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received")
            return
        if self._beside > _MOST_BESIDE and not self._in_head and self.cycle.more_body:
            self._refuse(*_HEADERS_TOO_LARGE)
        elif self._in_head and self._head_bytes > _MOST_URL + _MOST_HEADER_BYTES:
            self._refusal = _URL_TOO_LONG if len(self.url) > _MOST_URL else _HEADERS_TOO_LARGE
            self.send_400_response("")

    def _feed_again(self, data: bytes, upgrade: httptools.HttpParserUpgrade) -> None:
        while True:
            # The parser would drop the body and all that follows, so it starts anew.
            self.parser = httptools.HttpRequestParser(self)
            data = self._head_without_upgrade() + data[upgrade.args[0] :]
            self._chunk = len(data)
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as another:
                upgrade = another
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        """The head of the current request, asking for nothing but an answer in HTTP/1.1."""
        kept = [header for header in self.headers if header[0] not in _OF_UPGRADES]
        lines = [b"%s: %s\r\n" % header for header in kept]
        start = f"{self._upgrading} ".encode() + self.url + b" HTTP/1.1\r\n"
        return b"".join([start, *lines, b"\r\n"])

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = self._is_proxied = False
        self._in_head = True
        self._head_since = self.loop.time()
        self._head_bytes = self._chunk

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come past every check of the head, when the request may be at work already.
        if not self._in_head:
            return
        name = name.lower()
        if name in _OF_PROXIES:
            self._is_proxied = True
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._beside = 0
        self._head_since = None
        method = self.parser.get_method()
        self._refusal = self._complaint(method)
        if self._refusal:
            raise _Refused
        self._upgrading = ""
        if self.parser.should_upgrade():
            self._upgrading = method.decode("ascii")
            return
        before: RequestResponseCycle | None = self.cycle
        self.cycle = self._make_cycle(method)
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self._app)
        else:
            # It came while the one before is at work: its turn comes afterwards.
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self._app))
        self._body_since = self.loop.time()
        self._body_bytes = 0

    @property
    def _app(self) -> ASGI3Application:
        return self._proxied if self._is_proxied else self.app

    def _make_cycle(self, method: bytes) -> Cycle:
        version = self.parser.get_http_version()
        return Cycle(
            self._make_scope(method, version),
            self._soft,
            self.flow,
            self.server_state.default_headers,
            self.tasks,
            self.on_response_complete,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            expect_100_continue=self.expect_100_continue,
        )

    def _make_scope(self, method: bytes, version: str) -> HTTPScope:
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope = {
            "type": "http",
            "asgi": self._asgi,
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "method": method.decode("ascii"),
            "root_path": "",
            "path": unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
            "headers": self.headers,
            "extensions": self._extensions,
        }
        return cast("HTTPScope", scope)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        task = self.loop.create_task(cycle.run_asgi(app))
        cast("Cycle", cycle).task = task
        self.tasks.add(task)

    def _is_unread(self) -> bool:
        return self._running is not None and self._running.more_body

    def _answer(self, status: int, lines: bytes, body: bytes) -> bool:
        return cast("Cycle", self._running).answer(status, lines, body)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._beside = 0
        if self._upgrading or self.cycle.response_complete:
            return
        cycle = cast("Cycle", self.cycle)
        cycle.chunk = cycle.chunk + body if cycle.chunk else body
        if len(cycle.chunk) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        if not self._upgrading and not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._idle_since = self.loop.time()
        if self._is_last and self.cycle.response_complete:
            self.transport.close()

    def check(self, now: float) -> None:
        """End the connection if its client takes too long; `now` is the loop's time."""
        if self._is_stalled(now):
            events.connection_refused("answer_not_read")
            self.transport.abort()
        elif self._lingering_since is not None:
            if now - self._lingering_since > _LINGER_SECONDS:
                self.transport.close()
        elif self._head_since is not None:
            if now - self._head_since > self._limits.head:
                self._head_too_slow()
        elif self._idle_since is not None:
            if now - self._idle_since > self.timeout_keep_alive:
                self.transport.close()
        elif self.cycle.more_body and not self.cycle.response_complete:
            self._check_body(now)

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser refused: with 400, or with what a limit says."""
        status, detail = self._refusal or (400, msg)
        self._refuse(status, detail)

    def _complaint(self, method: bytes) -> tuple[int, str] | None:
        if method == b"CONNECT":
            return _NO_PROXY
        if len(self.headers) > _MOST_HEADERS:
            return _TOO_MANY_HEADERS
        if self._head_bytes <= _SMALL_HEAD:
            return None
        if len(self.url) > _MOST_URL:
            return _URL_TOO_LONG
        size = sum(len(name) + len(value) for name, value in self.headers)
        return _HEADERS_TOO_LARGE if size > _MOST_HEADER_BYTES else None

    def _is_stalled(self, now: float) -> bool:
        unsent = self.transport.get_write_buffer_size()
        # More than before: the client has read, and a large answer goes on in pieces.
        if not unsent or unsent > self._unsent or unsent <= self._unsent - _LEAST_PROGRESS:
            self._unsent, self._unsent_since = unsent, now
        return now - self._unsent_since > self._limits.body if unsent else False

    def _head_too_slow(self) -> None:
        self._head_since = None
        if self._in_head:
            self._refuse(408, "The head of the request did not come in time")
        else:
            self.transport.close()

    def _check_body(self, now: float) -> None:
        # While we hold the client back it cannot be blamed.
        is_held = self.flow.read_paused or self.cycle.waiting_for_100_continue
        if is_held or self._body_bytes >= _LEAST_PROGRESS:
            self._body_since, self._body_bytes = now, 0
        elif now - self._body_since > self._limits.body:
            self._refuse(408, "The body did not come in time")

    def _refuse(self, status: int, detail: str) -> None:
        events.connection_refused(str(status))
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:
                # A request before this one is still at work, and the next answer is its own.
                self._is_last = True
                self.flow.pause_reading()
                return
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
                return
        if not self.transport.is_closing() and self._lingering_since is None:
            self.transport.write(answer(status, detail, self._limits.headers))
            self._linger()

    def _end(self) -> None:
        if self.cycle.more_body:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Read on for a moment: a socket closed with unread data takes the answer with it."""
        if self.transport.is_closing() or self._lingering_since is not None:
            return
        self._lingering_since = self.loop.time()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    async def _too_many(self, scope: Any, receive: Any, send: Any) -> None:
        events.connection_refused("too_many_connections")
        body = body_of("Too many connections")
        headers = [*headers_of(body, self._limits.headers), (b"retry-after", b"1")]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": body})
