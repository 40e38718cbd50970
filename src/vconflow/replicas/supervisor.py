"""`serve --replicas N`: the port, Redis and the signals of N replicas, from ready to drained."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from vconflow.config import Config
from vconflow.errors import Unavailable
from vconflow.replicas.crew import Crew, open_crew
from vconflow.replicas.launch import Launch
from vconflow.server.listening import check_auth, listen, url_of
from vconflow.server.redis import OpenRedis, open_redis
from vconflow.server.running import Running
from vconflow.server.signals import hangups_caught, stop_signals
from vconflow.server.tls import tls_of
from vconflow.settings import Settings
from vconflow.telemetry import events

__all__ = ["supervise"]


async def supervise(
    config: Config,
    settings: Settings,
    *,
    wanted: int,
    host: str,
    port: int,
    data_dir: Path,
    config_file: Path,
    on_ready: Callable[[Running], Awaitable[None]],
) -> int:
    """Keep so many replicas running until SIGTERM or SIGINT, then drain all; the exit code.

    A second signal stops at once. SIGTTIN adds a replica, SIGTTOU removes one, SIGHUP has all read
    the configuration file. `on_ready` is called once all serve. Raises `ConfigError` when
    something refuses to start, and `Unavailable` when no replica can be kept running.
    """
    _ignore_resizing()
    check_auth(settings, config, host)
    await asyncio.to_thread(tls_of, settings)
    stop = asyncio.Event()
    with (
        listen(host, port, reuse_port=settings.vconflow_reuse_port) as listener,
        stop_signals(stop),
        hangups_caught() as hangups,
    ):
        async with open_redis(settings, data_dir) as redis:
            name = settings.vconflow_replica
            launch = Launch(name, listener, host, data_dir, config_file, redis.url)
            async with open_crew(launch, wanted) as crew:
                hangups.tell(crew.read_file_again)
                running = Running(url_of(host, listener, settings), redis.description)
                with _resized_by_signals(crew):
                    asked = await _first_end(stop, crew, redis, lambda: on_ready(running))
                in_order = await crew.stop()
                if crew.trouble:
                    raise Unavailable(crew.trouble)
                return 0 if asked and in_order else 1


async def _first_end(
    stop: asyncio.Event, crew: Crew, redis: OpenRedis, on_ready: Callable[[], Awaitable[None]]
) -> bool:
    """Wait until all are to stop; whether that was asked for."""
    waits: dict[str, asyncio.Future[Any]] = {
        "signal": asyncio.create_task(stop.wait()),
        "replicas": asyncio.create_task(crew.failed.wait()),
        "redis": asyncio.ensure_future(redis.failed()),
    }
    announcing = asyncio.create_task(_announce(crew, on_ready))
    await asyncio.wait(waits.values(), return_when=asyncio.FIRST_COMPLETED)
    asked = waits["signal"].done()
    if waits["redis"].done():
        events.unhandled("redis", RuntimeError("redis has ended; stopping"))
    for task in (announcing, *waits.values()):
        task.cancel()
    return asked


async def _announce(crew: Crew, on_ready: Callable[[], Awaitable[None]]) -> None:
    await crew.all_ready.wait()
    await on_ready()


@contextlib.contextmanager
def _resized_by_signals(crew: Crew) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    # As gunicorn and uvicorn have it.
    loop.add_signal_handler(signal.SIGTTIN, crew.add)
    loop.add_signal_handler(signal.SIGTTOU, crew.remove)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTTIN)
        loop.remove_signal_handler(signal.SIGTTOU)
        _ignore_resizing()


def _ignore_resizing() -> None:
    # By default they suspend the process.
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
