"""Doing what the schedule says, and undoing it."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from vconflow.testing.servers import Server
from vconflow.testing.tcp_proxy import Direction, TcpProxy

from .faults import Fault, Struck
from .replica import Replica
from .stage import Stage

__all__ = ["strike"]

_RESTART_SECONDS = 60.0


async def strike(stage: Stage, faults: Sequence[Fault], tell: Callable[[Fault], None]) -> None:
    """Let every fault happen at its time, and wait until all are over."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for fault in faults:
            await asyncio.sleep(began + fault.at - time.monotonic())
            tell(fault)
            group.create_task(_strike(stage, fault))


async def _strike(stage: Stage, fault: Fault) -> None:
    struck = Struck(fault, time.monotonic())
    stage.log.struck.append(struck)
    place = len(stage.log.struck) - 1
    async with _HOW[fault.target.partition("-")[0]](stage, fault):
        await asyncio.sleep(fault.seconds)
    stage.log.struck[place] = replace(struck, ended=time.monotonic())


@asynccontextmanager
async def _on_replica(stage: Stage, fault: Fault) -> AsyncIterator[None]:
    (replica,) = _named(stage.replicas, fault)
    match fault.kind.removeprefix("replica "):
        case "kill -9":
            replica.end(signal.SIGKILL)
            yield
        case "SIGTERM":
            replica.end(signal.SIGTERM)
            yield
        case _:
            replica.freeze(True)
            yield
            replica.freeze(False)


@asynccontextmanager
async def _on_link(stage: Stage, fault: Fault) -> AsyncIterator[None]:
    links: list[TcpProxy] = stage.links
    if fault.target != "link":
        links = [stage.links[int(fault.target.removeprefix("link-")) - 1]]
    for link in links:
        _disturb(link, fault)
    yield
    # Another fault may be on for one of all links: they are given back together, and it ends.
    for link in links:
        link.restore()


def _disturb(link: TcpProxy, fault: Fault) -> None:
    direction = list(Direction)[fault.number % 2]
    match fault.kind.removeprefix("connections "):
        case "cut":
            link.cut()
        case "cut mid-message":
            link.cut_after(fault.number % 20_000, direction)
        case "refused":
            link.refuse()
        case "stalled":
            link.stall(direction)
        case _:
            link.delay(0.05 + fault.number % 100 / 500, direction)


@asynccontextmanager
async def _on_webhook(stage: Stage, fault: Fault) -> AsyncIterator[None]:
    stage.webhook.mood = fault.kind
    yield
    stage.webhook.mood = ""


@asynccontextmanager
async def _on_redis(stage: Stage, fault: Fault) -> AsyncIterator[None]:
    async with _on_server(stage.redis, fault):
        yield


@asynccontextmanager
async def _on_postgres(stage: Stage, fault: Fault) -> AsyncIterator[None]:
    async with _on_server(stage.postgres, fault):
        yield


@asynccontextmanager
async def _on_server(server: Server, fault: Fault) -> AsyncIterator[None]:
    match fault.kind.partition(" ")[2]:
        case "SIGSTOP":
            server.pause()
            yield
            server.resume()
            return
        case "kill -9":
            server.kill()
        case _:
            await server.stop()
    yield
    async with asyncio.timeout(_RESTART_SECONDS):
        while not await _restarted(server):
            await asyncio.sleep(0.2)


async def _restarted(server: Server) -> bool:
    try:
        await server.start()
    except RuntimeError:
        return False  # children of a PostgreSQL that was killed hold its memory for a moment
    return True


def _named(replicas: Sequence[Replica], fault: Fault) -> list[Replica]:
    return [replica for replica in replicas if replica.name == fault.target]


_HOW = {
    "replica": _on_replica,
    "link": _on_link,
    "webhook": _on_webhook,
    "redis": _on_redis,
    "postgres": _on_postgres,
}
