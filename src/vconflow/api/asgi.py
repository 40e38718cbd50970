"""The ASGI application: every request gets an id, a route, a key check and exactly one answer."""

import os
import re
import time
from contextvars import ContextVar

from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import STRUCTLOG_KEY_PREFIX

from vconflow.api.audit import TARGET, Target, audit
from vconflow.api.call import Call
from vconflow.api.errors import error_response, status_of
from vconflow.api.gate import EXTRA_HEADERS, Gate
from vconflow.api.refusals import Disconnected
from vconflow.api.routes import ROUTES
from vconflow.api.routing import Router
from vconflow.api.security_headers import SecurityHeaders
from vconflow.api.services import Services
from vconflow.telemetry import events

__all__ = ["build_asgi"]

_VALID_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_REQUEST_ID = b"x-request-id"
_UNMATCHED = "unmatched"
_GONE = 499
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
    app: ASGIApp = _Dispatcher(services)
    origins = services.settings.vconflow_cors_origins
    if origins:
        app = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=("GET", "HEAD", "POST", "PUT", "DELETE"),
            allow_headers=("*",),
            expose_headers=_EXPOSED,
        )
    return _Observed(app, services)


class _Observed:
    """Gives every request an id, stamps every response, counts both and audits them."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._audit = services.audit
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
        status = _GONE
        extensions = scope.get("extensions")
        is_unread = extensions.get("vconflow.is_unread") if extensions else None

        async def stamped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = self._headers.added_to(message["headers"], scope["scheme"])
                headers.append((_REQUEST_ID, request_id))
                if EXTRA_HEADERS in scope:
                    headers += scope[EXTRA_HEADERS]
                if is_unread is not None and is_unread():
                    headers.append(_CLOSE)
                message["headers"] = headers
            await send(message)

        begun = time.perf_counter()
        token = _OF_LOG_LINES.set(request_id.decode("latin-1"))
        try:
            await self._app(scope, receive, stamped)
        finally:
            seconds = time.perf_counter() - begun
            # It refers to the scope, and a circle would leave every request to the collector.
            target: Target | None = scope.pop(TARGET, None)
            template = target.route.path if target else _UNMATCHED
            events.http_done(template, scope["method"], status, seconds)
            if target is not None:
                target.call.release()
                audit(self._audit, target, status, request_id)
            _OF_LOG_LINES.reset(token)


class _Dispatcher:
    """Finds the route, checks the key, runs the handler and answers, whatever happens."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._router = Router(ROUTES, services.settings.api_root_path)
        self._gate = Gate(services)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._respond(scope, receive)
        except Disconnected:
            return  # nobody is left to answer
        except Exception as error:  # noqa: BLE001 - whatever it was, the client gets an answer
            if status_of(error) == 500:
                events.unhandled("http", error)
            response = error_response(error)
        await response(scope, receive, _without_body(send) if scope["method"] == "HEAD" else send)

    async def _respond(self, scope: Scope, receive: Receive) -> ASGIApp:
        match = self._router.match(scope["method"], scope["path"])
        route = match.route
        if route is None:
            return Response(None, 204, {"Allow": match.allow})
        call = Call(self._services, scope, receive, match.path)
        scope[TARGET] = Target(route, call)
        await self._gate.admit(call, route.auth)
        return await route.handler(call)


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == _REQUEST_ID and _VALID_ID.fullmatch(value):
            found: bytes = value
            return found
    return os.urandom(16).hex().encode()


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
