"""Everything that runs: Valkey behind a proxy for each replica, PostgreSQL, webhook, replicas."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import yaml

from vconflow.testing.servers import PostgresServer, RedisServer, postgres, valkey
from vconflow.testing.tcp_proxy import TcpProxy, tcp_proxy
from vconflow.testing.webhook_receiver import webhook_receiver

from .faults import FaultLog
from .options import Options, configuration
from .replica import Replica
from .webhook import Webhook

__all__ = ["Stage", "open_stage"]

_AFTERMATH = 8.0
"""Seconds after a fault of Redis in which a start may still fail because of it."""


@dataclass
class Stage:
    """What the load talks to and the faults strike; `log` is what has struck so far."""

    redis: RedisServer
    postgres: PostgresServer
    dsn: str
    webhook: Webhook
    replicas: list[Replica]
    links: list[TcpProxy]
    folder: Path
    log: FaultLog


@asynccontextmanager
async def open_stage(options: Options, folder: Path, webhook: Webhook) -> AsyncIterator[Stage]:
    """Start it all in `folder`; when the context ends, the replicas drain and the rest stops."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(valkey(_made(folder / "valkey")))
        database = await stack.enter_async_context(postgres())
        await _create_database(database)
        receiver = stack.enter_context(webhook_receiver(webhook.decide))
        dsn = database.dsn("soak")
        config = configuration(folder, receiver.url, dsn)
        (folder / "config.yml").write_text(yaml.safe_dump(config))
        path = redis.url.removeprefix("unix://")
        links = [await stack.enter_async_context(tcp_proxy(path)) for _ in range(options.replicas)]
        log = FaultLog()
        replicas = [
            _replica(number, folder, link, log) for number, link in enumerate(links, start=1)
        ]
        await stack.enter_async_context(_kept(replicas))
        yield Stage(redis, database, dsn, webhook, replicas, links, folder, log)


def _replica(number: int, folder: Path, link: TcpProxy, log: FaultLog) -> Replica:
    def redis_is_away() -> bool:
        now = time.monotonic()
        return bool(log.between(now - _AFTERMATH, now, "redis", "link"))

    return Replica(f"replica-{number}", folder, f"redis://127.0.0.1:{link.port}", redis_is_away)


@asynccontextmanager
async def _kept(replicas: list[Replica]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(replica.keep()) for replica in replicas]
    try:
        async with asyncio.timeout(60):
            while not all(replica.lives and replica.lives[0].ready for replica in replicas):
                await asyncio.sleep(0.05)
        yield
    finally:
        for replica in replicas:
            replica.stop()
        _, late = await asyncio.wait(tasks, timeout=60)
        for task in late:
            task.cancel()
        for replica, task in zip(replicas, tasks, strict=True):
            if task in late:
                replica.unexpected.append(f"{replica.name} did not stop in 60 s")
        await asyncio.gather(*tasks, return_exceptions=True)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


async def _create_database(server: PostgresServer) -> None:
    connection = await asyncpg.connect(server.url)
    try:
        await connection.execute("CREATE DATABASE soak")
    finally:
        await connection.close()
