"""The HTTP server in front of the application: uvicorn with our limits, TLS, and no signals."""

import asyncio
import contextlib
import functools
import resource
import socket
import ssl
from collections.abc import Iterator
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn._types import ASGI3Application
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.server import ServerState

from vconflow import __version__
from vconflow.api.security_headers import security_headers
from vconflow.server.listening import BACKLOG
from vconflow.server.protocol import HttpProtocol, Limits
from vconflow.server.tls import Tls
from vconflow.settings import Settings

__all__ = ["HttpServer", "http_server"]

_OTHER_FILES = 256
"""File descriptors for everything but connections."""
_CHECK_EVERY = 5
"""Ticks of a tenth of a second."""
_RELOAD_EVERY = 50
_QUIET = 0.1
"""Seconds without any request after which nobody is about to send another."""
_LONGEST_FAREWELL = 2.0


class HttpServer(uvicorn.Server):
    """Watches over its connections, and leaves the signals to us: HTTP goes last, not first."""

    def __init__(self, config: uvicorn.Config, tls: Tls | None, handshake: float) -> None:
        super().__init__(config)
        self._tls = tls
        self._handshake = handshake if tls else None
        self._reloading: asyncio.Task[None] | None = None
        self._takes_more = True
        self._last: list[asyncio.Task[Any]] = []

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does, but for a limit to the time that a TLS handshake may take."""
        await self.lifespan.startup()
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                self._new_connection,
                sock=listener,
                ssl=self._context,
                ssl_handshake_timeout=self._handshake,
                backlog=BACKLOG,
            )
            for listener in sockets or ()
        ]
        self.started = True

    def see_clients_off(self, *, accept: bool) -> None:
        """Have clients close their connections after the next answer; go on answering.

        Without `accept` new connections are left to those that listen on the same socket.
        """
        closing = (b"connection", b"close")
        self.config.encoded_headers.append(closing)
        self.server_state.default_headers = [*self.server_state.default_headers, closing]
        if not accept:
            self._stop_accepting()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does, but only when the clients are quiet.

        An idle connection is closed without a word: that would hit the next request of a client
        that has just got its answer.
        """
        if self._takes_more:
            # Whoever has connected already would be cut off with the listener.
            waiting = [found for listener in sockets or () for found in _waiting(listener)]
            self._stop_accepting()
            await self._take(waiting)
        state, loop = self.server_state, asyncio.get_running_loop()
        deadline, seen = loop.time() + _LONGEST_FAREWELL, -1
        while state.connections and seen != state.total_requests and loop.time() < deadline:
            seen = state.total_requests
            await asyncio.sleep(_QUIET)
        await super().shutdown(sockets)

    async def _take(self, connections: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        self._last = [
            loop.create_task(
                loop.connect_accepted_socket(
                    self._new_connection,
                    connection,
                    ssl=self._context,
                    ssl_handshake_timeout=self._handshake,
                ),
                name="last connection",
            )
            for connection in connections
        ]
        if self._last:
            await asyncio.wait(self._last, timeout=_QUIET)

    def _stop_accepting(self) -> None:
        self._takes_more = False
        for server in self.servers:
            server.close()

    def _new_connection(self) -> asyncio.Protocol:
        # Declared as a base class of asyncio, whose constructor takes nothing.
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )

    @property
    def _context(self) -> ssl.SSLContext | None:
        return self._tls.context if self._tls else None

    async def on_tick(self, counter: int) -> bool:
        if counter % _CHECK_EVERY == 0:
            check_connections(self.server_state)
        if self._tls is not None and counter % _RELOAD_EVERY == 0:
            self._reloading = asyncio.create_task(self._tls.reload(), name="tls")
        return await super().on_tick(counter)


def _waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """The connections that nobody has accepted yet."""
    with contextlib.suppress(OSError):  # BlockingIOError when there are no more
        while True:
            connection, _ = listener.accept()
            connection.setblocking(False)
            yield connection


def check_connections(state: ServerState) -> None:
    """End the connections whose clients take too long."""
    now = asyncio.get_running_loop().time()
    for connection in list(state.connections):
        if isinstance(connection, HttpProtocol):
            connection.check(now)


def http_server(app: ASGIApp, settings: Settings, tls: Tls | None) -> HttpServer:
    """Return a server that is not started yet."""
    limits = Limits(
        head=settings.vconflow_header_timeout,
        body=settings.vconflow_body_timeout,
        connections=_room_for(settings.vconflow_max_connections),
        headers=security_headers(
            [
                (b"x-vcon-server-version", __version__.encode()),
                (b"x-vcon-server-commit", settings.vconflow_commit.encode("latin-1", "replace")),
            ],
            "https" if tls else "http",
        ),
    )
    # Most requests come without the headers of a proxy: these are spared the look for them.
    proxied = ProxyHeadersMiddleware(cast("ASGI3Application", app), settings.forwarded_allow_ips)
    config = uvicorn.Config(
        app,
        loop="none",
        # Declared as a class, used as a factory.
        http=functools.partial(  # type: ignore[arg-type]
            HttpProtocol, limits=limits, proxied=cast("ASGI3Application", proxied)
        ),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.vconflow_keep_alive,
        timeout_graceful_shutdown=10,
    )
    return HttpServer(config, tls, settings.vconflow_header_timeout)


def _room_for(connections: int) -> int:
    """As many of them as the process may have open files, asking for more if it can."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(1, min(connections, soft - _OTHER_FILES))
    return connections
