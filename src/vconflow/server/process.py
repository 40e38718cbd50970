"""The process: an HTTP server on an application, from ready to drained."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vconflow.app import App, open_app
from vconflow.config import Config
from vconflow.server.http import HttpServer, http_server
from vconflow.server.listening import check_auth, listen, needs_no_key, url_of
from vconflow.server.redis import OpenRedis, open_redis
from vconflow.server.running import Running
from vconflow.server.signals import hangups_caught, stop_signals
from vconflow.server.tls import tls_of
from vconflow.settings import Settings
from vconflow.telemetry import events

__all__ = ["Membership", "serve"]


@dataclass(frozen=True)
class Membership:
    """What a server has from the supervisor of several: the `listener` that all of them share.

    Whoever is asked for `metrics` answers with those of all. When `leave` is set, this one leaves
    new connections to the others and stops.
    """

    listener: socket.socket
    leave: asyncio.Event
    metrics: Callable[[], Awaitable[bytes]]


async def serve(
    config: Config,
    settings: Settings,
    *,
    host: str,
    port: int,
    data_dir: Path,
    config_file: Path | None = None,
    on_ready: Callable[[Running], Awaitable[None]] | None = None,
    member: Membership | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, then drain; the exit code.

    A second signal stops at once: nothing is lost, what was under way is taken over. Port 0 takes
    a free one. `config_file` is where `config` came from: it is watched, and SIGHUP has it read
    again. `on_ready` runs beside the server. As a `member` of several it listens on what it is
    given. Raises `ConfigError` when something refuses to start.
    """
    check_auth(settings, config, host)
    if needs_no_key(settings, config):
        events.auth_off(host)
    tls = await asyncio.to_thread(tls_of, settings)
    stop = asyncio.Event()
    with (
        _listener(host, port, settings, member) as listener,
        stop_signals(stop),
        hangups_caught() as hangups,
    ):
        async with (
            open_redis(settings, data_dir) as redis,
            open_app(
                config,
                settings,
                redis_url=redis.url,
                config_file=config_file,
                redis_trouble=redis.trouble,
                metrics=member.metrics if member else None,
            ) as app,
        ):
            hangups.tell(app.watch.read_file_again)
            running = Running(url_of(host, listener, settings), redis.description)
            server = http_server(app.asgi, settings, tls)
            async with _listening(server, listener) as serving:
                async with _beside(on_ready, running):
                    asked = await _first_end(stop, serving, app, redis, member)
                # Readiness goes first and HTTP last: whoever still sends is still answered. Only
                # streams of events would never end by themselves.
                server.see_clients_off(accept=not (member and member.leave.is_set()))
                app.events.close()
                await app.replica.stop()
            return 0 if asked else 1


@asynccontextmanager
async def _listening(
    server: HttpServer, listener: socket.socket
) -> AsyncIterator[asyncio.Task[None]]:
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    while not server.started and not serving.done():  # noqa: ASYNC110  # uvicorn has no event
        await asyncio.sleep(0.01)
    try:
        yield serving
    finally:
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)


async def _first_end(
    stop: asyncio.Event,
    serving: asyncio.Task[None],
    app: App,
    redis: OpenRedis,
    member: Membership | None,
) -> bool:
    """Wait until the process is to stop; whether it was asked to, rather than a part gave up."""
    waits: dict[str, asyncio.Future[Any]] = {
        "signal": asyncio.create_task(stop.wait()),
        "http": serving,
        "pipeline": asyncio.create_task(app.replica.failed()),
        "redis": asyncio.ensure_future(redis.failed()),
    }
    if member is not None:
        waits["leave"] = asyncio.create_task(member.leave.wait())
    await asyncio.wait(waits.values(), return_when=asyncio.FIRST_COMPLETED)
    asked = any(waits[name].done() for name in ("signal", "leave") if name in waits)
    if not asked:
        cause = next(name for name, task in waits.items() if task.done())
        events.unhandled(cause, RuntimeError(f"{cause} has ended; stopping"))
    for name in waits.keys() - {"http"}:
        waits[name].cancel()
    return asked


@asynccontextmanager
async def _beside(
    on_ready: Callable[[Running], Awaitable[None]] | None, running: Running
) -> AsyncIterator[None]:
    if on_ready is None:
        yield
        return
    task = asyncio.create_task(_attempt(on_ready, running))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _attempt(on_ready: Callable[[Running], Awaitable[None]], running: Running) -> None:
    try:
        await on_ready(running)
    # The server goes on without it, but not in silence.
    except Exception as error:  # noqa: BLE001
        events.unhandled("on_ready", error)


@contextlib.contextmanager
def _listener(
    host: str, port: int, settings: Settings, member: Membership | None
) -> Iterator[socket.socket]:
    if member is not None:
        yield member.listener
        return
    with listen(host, port, reuse_port=settings.vconflow_reuse_port) as listener:
        yield listener
