"""The ASGI application: every request gets an id, a route, a key check and exactly one answer."""

import random
import re
import time
from contextvars import ContextVar
from typing import Any

from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import STRUCTLOG_KEY_PREFIX

from vconflow.api.audit import TARGET, Target, audit
from vconflow.api.call import Call
from vconflow.api.codec import StoredVcon
from vconflow.api.errors import error_response, status_of
from vconflow.api.gate import EXTRA_HEADERS, Gate
from vconflow.api.refusals import Disconnected
from vconflow.api.routes import ROUTES
from vconflow.api.routing import Router
from vconflow.api.security_headers import SecurityHeaders
from vconflow.api.services import Services
from vconflow.api.spans import begin_request, end_request
from vconflow.telemetry import events

__all__ = ["build_asgi"]

_VALID_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_REQUEST_ID = b"x-request-id"
_UNMATCHED = "unmatched"
_GONE = 499
_NO_EXTENSIONS: dict[str, Any] = {}
# What structlog's bind_contextvars makes, which looks it up and gathers tokens at each call.
_OF_LOG_LINES: ContextVar[str] = ContextVar(f"{STRUCTLOG_KEY_PREFIX}request_id")
_CLOSE = (b"connection", b"close")
_EXPOSED = (
    "ETag",
    "X-Request-Id",
    "X-Vcon-Server-Version",
    "X-Vcon-Server-Commit",
    "X-Skipped",
    "X-More",
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
)


def build_asgi(services: Services) -> ASGIApp:
    """Return the application. It opens nothing and has no lifespan of its own."""
    dispatcher = _Dispatcher(services)
    origins = services.settings.vconflow_cors_origins
    if not origins:
        return _Observed(dispatcher, None, services)
    cors = CORSMiddleware(
        dispatcher,
        allow_origins=origins,
        allow_methods=("GET", "HEAD", "POST", "PUT", "DELETE"),
        allow_headers=("*",),
        expose_headers=_EXPOSED,
    )
    return _Observed(dispatcher, cors, services)


class _Observed:
    """Gives every request an id, stamps every response, counts both and audits them.

    `middleware`, if any, stands between it and the dispatcher.
    """

    def __init__(
        self, dispatcher: "_Dispatcher", middleware: ASGIApp | None, services: Services
    ) -> None:
        self._dispatcher = dispatcher
        self._middleware = middleware
        self._audit = services.audit
        self._spans = services.spans
        self._headers = SecurityHeaders(
            [
                (b"x-vcon-server-version", services.build.version.encode("latin-1")),
                (b"x-vcon-server-commit", services.build.commit.encode("latin-1")),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _decline(scope, receive, send)
            return
        request_id = _request_id(scope)
        sending = _Stamped(scope, send, request_id, self._headers)
        span = None if self._spans is None else begin_request(self._spans, scope)
        begun = time.perf_counter()
        token = _OF_LOG_LINES.set(request_id.decode("latin-1"))
        try:
            if self._middleware is not None:
                await self._middleware(scope, receive, sending)
                return
            response = await self._dispatcher.respond(scope, receive)
            if response is not None and not sending.at_once(response):
                await _send_response(response, scope, receive, sending)
        finally:
            seconds = time.perf_counter() - begun
            # It refers to the scope, and a circle would leave every request to the collector.
            target: Target | None = scope.pop(TARGET, None)
            template = target.route.path if target else _UNMATCHED
            events.http_done(template, scope["method"], sending.status, seconds)
            if span is not None:
                end_request(span, scope["method"], target, sending.status)
            if target is not None:
                target.call.release()
                audit(self._audit, target, sending.status, request_id)
            _OF_LOG_LINES.reset(token)


class _Stamped:
    """Sends messages, with what every answer has in its headers; `status` is of the answer."""

    __slots__ = ("_headers", "_is_unread", "_request_id", "_scope", "_send", "status")

    def __init__(
        self, scope: Scope, send: Send, request_id: bytes, headers: SecurityHeaders
    ) -> None:
        self.status = _GONE
        self._scope = scope
        self._send = send
        self._request_id = request_id
        self._headers = headers
        self._is_unread = scope.get("extensions", _NO_EXTENSIONS).get("vconflow.is_unread")

    def at_once(self, response: ASGIApp) -> bool:
        """Send a stored vCon without messages, if the server can do that; whether it was sent."""
        scope = self._scope
        if type(response) is not StoredVcon or scope["method"] == "HEAD" or EXTRA_HEADERS in scope:
            return False
        whole = scope.get("extensions", _NO_EXTENSIONS).get("vconflow.answer")
        common = self._headers.lines.get(scope["scheme"])
        is_unread = self._is_unread is not None and self._is_unread()
        if whole is None or common is None or is_unread:
            return False
        lines = response.lines + common
        self.status = response.status_code
        return bool(
            whole(self.status, b"%sx-request-id: %s\r\n" % (lines, self._request_id), response.body)
        )

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            scope = self._scope
            self.status = message["status"]
            headers = self._headers.added_to(message["headers"], scope["scheme"])
            headers.append((_REQUEST_ID, self._request_id))
            if EXTRA_HEADERS in scope:
                headers += scope[EXTRA_HEADERS]
            if self._is_unread is not None and self._is_unread():
                headers.append(_CLOSE)
            message["headers"] = headers
        await self._send(message)


class _Dispatcher:
    """Finds the route, checks the key, runs the handler and answers, whatever happens."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._router = Router(ROUTES, services.settings.api_root_path)
        self._gate = Gate(services)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.respond(scope, receive)
        if response is not None:
            await _send_response(response, scope, receive, send)

    async def respond(self, scope: Scope, receive: Receive) -> ASGIApp | None:
        """What to answer; None when nobody is left to be answered."""
        try:
            return await self._respond(scope, receive)
        except Disconnected:
            return None
        except Exception as error:  # noqa: BLE001 - whatever it was, the client gets an answer
            if status_of(error) == 500:
                events.unhandled("http", error)
            return error_response(error)

    async def _respond(self, scope: Scope, receive: Receive) -> ASGIApp:
        match = self._router.match(scope["method"], scope["path"])
        route = match.route
        if route is None:
            return Response(None, 204, {"Allow": match.allow})
        call = Call(self._services, scope, receive, match.path)
        scope[TARGET] = Target(route, call)
        await self._gate.admit(call, route.auth)
        return await route.handler(call)


async def _send_response(response: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await response(scope, receive, _without_body(send) if scope["method"] == "HEAD" else send)


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == _REQUEST_ID and _VALID_ID.fullmatch(value):
            found: bytes = value
            return found
    # It need not be a secret, and the system's randomness costs a call of it.
    return b"%032x" % random.getrandbits(128)


def _without_body(send: Send) -> Send:
    async def headers_only(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return headers_only


async def _decline(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what is not HTTP: nothing happens at start and stop, websockets are refused."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
        return
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
