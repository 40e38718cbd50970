"""The process: an HTTP server on an application, from ready to drained."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vconflow.adapters.embedded import embedded_valkey
from vconflow.app import App, open_app
from vconflow.config import Config
from vconflow.errors import ConfigError, Problem
from vconflow.redis_url import shown
from vconflow.server.http import HttpServer, http_server
from vconflow.server.signals import hangups_caught, stop_signals
from vconflow.server.tls import tls_of
from vconflow.settings import Settings
from vconflow.telemetry import events

__all__ = ["Running", "serve"]

_BACKLOG = 2048


@dataclass(frozen=True)
class Running:
    """What is running, for people: `url` of the API, `redis` in words, chains that are held."""

    url: str
    redis: str
    config: Config
    held: list[str]


@dataclass(frozen=True)
class _Redis:
    url: str
    description: str
    failed: Callable[[], Awaitable[object]]
    trouble: Callable[[], str]


async def serve(
    config: Config,
    settings: Settings,
    *,
    host: str,
    port: int,
    data_dir: Path,
    config_file: Path | None = None,
    on_ready: Callable[[Running], Awaitable[None]] | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, then drain; the exit code.

    A second signal stops at once: nothing is lost, what was under way is taken over. Port 0 takes
    a free one. `config_file` is where `config` came from: it is watched, and SIGHUP has it read
    again. `on_ready` runs beside the server. Raises `ConfigError` when something refuses to
    start.
    """
    _check_auth(settings, config, host)
    tls = await asyncio.to_thread(tls_of, settings)
    stop = asyncio.Event()
    with _listen(host, port) as listener, stop_signals(stop), hangups_caught() as hangups:
        async with (
            _open_redis(settings, data_dir) as redis,
            open_app(
                config,
                settings,
                redis_url=redis.url,
                config_file=config_file,
                redis_trouble=redis.trouble,
            ) as app,
        ):
            hangups.tell(app.watch.read_file_again)
            running = Running(
                _url(host, listener, "https" if tls else "http"),
                redis.description,
                config,
                _held(config),
            )
            server = http_server(app.asgi, settings, tls)
            async with _listening(server, listener) as serving:
                async with _beside(on_ready, running):
                    asked = await _first_end(stop, serving, app, redis)
                # Readiness goes first and HTTP last: whoever still sends is still answered. Only
                # streams of events would never end by themselves.
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
    stop: asyncio.Event, serving: asyncio.Task[None], app: App, redis: _Redis
) -> bool:
    """Wait until the process is to stop; whether it was asked to, rather than a part gave up."""
    waits: dict[str, asyncio.Future[Any]] = {
        "signal": asyncio.create_task(stop.wait()),
        "http": serving,
        "pipeline": asyncio.create_task(app.replica.failed()),
        "redis": asyncio.ensure_future(redis.failed()),
    }
    await asyncio.wait(waits.values(), return_when=asyncio.FIRST_COMPLETED)
    asked = waits["signal"].done()
    if not asked:
        cause = next(name for name, task in waits.items() if task.done())
        events.unhandled(cause, RuntimeError(f"{cause} has ended; stopping"))
    for name in ("signal", "pipeline", "redis"):
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


@asynccontextmanager
async def _open_redis(settings: Settings, data_dir: Path) -> AsyncIterator[_Redis]:
    if settings.redis_url is not None:
        url = settings.redis_url.reveal()
        yield _Redis(url, f"Redis at {shown(url)}", asyncio.Event().wait, str)
        return
    async with embedded_valkey(data_dir) as valkey:
        described = f"embedded Valkey in {data_dir}"
        yield _Redis(valkey.url, described, valkey.failed, lambda: valkey.trouble)


def _check_auth(settings: Settings, config: Config, host: str) -> None:
    if settings.conserver_api_token or settings.conserver_api_token_file or config.access.api_keys:
        return
    if not _is_loopback(host) and not settings.vconflow_allow_open:
        message = (
            f"no API key is configured, and {host} can be reached by others: set "
            "CONSERVER_API_TOKEN, or VCONFLOW_ALLOW_OPEN=true if that is what you want"
        )
        raise ConfigError([Problem(("CONSERVER_API_TOKEN",), message, "auth")])
    events.auth_off(host)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextlib.contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            message = f"cannot listen on {host}:{port}: {error.strerror}"
            place = "--host" if isinstance(error, socket.gaierror) else "--port"
            raise ConfigError([Problem((place,), message, "listen")]) from error
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        yield listener


def _url(host: str, listener: socket.socket, scheme: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{listener.getsockname()[1]}"


def _held(config: Config) -> list[str]:
    return [f"{chain.name}: {chain.held}" for chain in config.chains.values() if chain.held]
