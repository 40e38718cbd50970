"""The application: every client, pool and task, opened in order and closed in reverse."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp

from vconflow.adapters.clock import SystemClock
from vconflow.adapters.fetch import open_fetcher
from vconflow.adapters.http import open_http
from vconflow.adapters.modules.host import Host
from vconflow.adapters.modules.threads import Threads, open_threads
from vconflow.adapters.objects import S3Objects
from vconflow.adapters.providers import open_providers
from vconflow.adapters.redis.backend import RedisBackend, open_backend
from vconflow.api import build_asgi
from vconflow.app.options import (
    open_audit_log,
    policy_of,
    ports_of,
    prices_of,
    provider_options,
    redis_options,
)
from vconflow.app.readiness import Readiness
from vconflow.app.services import Opened, services_of
from vconflow.app.watchdog import watch_loop
from vconflow.config import Config
from vconflow.conserver_data import tell_of_conserver_data
from vconflow.live_config import ConfigFile, LiveConfig, Watch, watching
from vconflow.pipeline.breaker import Breakers
from vconflow.pipeline.event_feed import EventFeed, open_event_feed
from vconflow.pipeline.ingest import Ingest
from vconflow.pipeline.lookup import Lookup
from vconflow.pipeline.replica import Replica, open_replica
from vconflow.settings import Settings
from vconflow.site import Components, Site, Surroundings, open_pool, open_site
from vconflow.site.following import open_followers
from vconflow.telemetry.metrics import own_metrics
from vconflow.telemetry.spans import Spans, open_spans

__all__ = ["App", "open_app"]


@dataclass(frozen=True)
class App:
    """A running replica behind an ASGI application."""

    asgi: ASGIApp
    replica: Replica
    backend: RedisBackend
    site: Site
    events: EventFeed
    watch: Watch


class _Desk:
    """Lets links store and read vCons, though links are opened before the ways in and out."""

    ingest: Ingest
    lookup: Lookup

    async def save(self, document: bytes) -> str:
        return await self.ingest.save(document)

    async def get(self, uuid: str) -> bytes | None:
        return await self.lookup.get(uuid)

    async def enqueue(self, uuid: str, list_name: str) -> bool:
        return not await self.ingest.enqueue([uuid], list_name)


@asynccontextmanager
async def open_app(
    config: Config,
    settings: Settings,
    *,
    redis_url: str,
    config_file: Path | None = None,
    redis_trouble: Callable[[], str] = str,
    metrics: Callable[[], Awaitable[bytes]] | None = None,
) -> AsyncIterator[App]:
    """Open everything and start processing; drain and close at the end.

    `config_file` is where `config` came from, which is then watched. `redis_trouble` says what is
    known to hinder Redis, which /ready shows. `metrics` are answered instead of those of this
    process alone. Raises `ConfigError` when Redis or a component
    refuses to start.
    """
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        audit = await enter(open_audit_log(settings))
        replica_name = settings.vconflow_replica
        spans = await enter(open_spans(enabled=settings.vconflow_otel, replica=replica_name))
        backend = await enter(open_backend(redis_url, redis_options(settings)))
        await tell_of_conserver_data(backend, config, settings.vcon_sorted_set_name)
        desk, clock = _Desk(), SystemClock()
        threads = await enter(_open_threads(settings))
        components = await enter(_open_components(settings, desk, clock, threads, spans))
        parts = await components.open(config)
        ports, policy = ports_of(backend, clock), policy_of(settings)
        replica, ingest, lookup = await enter(
            open_replica(ports, parts.chains, parts.fanout, policy, spans)
        )
        desk.ingest, desk.lookup = ingest, lookup
        site = await enter(open_site(config, parts, components, replica, backend.stream))
        most = settings.vconflow_max_event_streams
        feed = await enter(open_event_feed(backend.event_source, clock, limit=most))
        file = ConfigFile(config_file) if config_file else None
        data_dir = Path(settings.vconflow_data_dir)
        live = LiveConfig(site, backend.config, os.environ, file, data_dir=data_dir)
        await enter(watch_loop(settings.vconflow_loop_stall))
        await live.start()
        await replica.start()
        poll = settings.vconflow_config_poll_seconds
        watch = await enter(watching(live, backend.config, file, poll=poll))
        followers = await enter(
            open_followers(site, settings, backend, ingest, clock, lambda: replica.stopping)
        )
        readiness = Readiness(
            backend, lambda: replica.fanout, live, followers, redis_trouble, threads
        )
        opened = Opened(
            settings=settings,
            audit=audit,
            backend=backend,
            replica=replica,
            ingest=ingest,
            lookup=lookup,
            site=site,
            events=feed,
            configuration=live,
            followers=followers,
            readiness=readiness,
            metrics=metrics or own_metrics,
            spans=spans,
        )
        yield App(build_asgi(services_of(opened)), replica, backend, site, feed, watch)


def _open_threads(settings: Settings) -> AbstractAsyncContextManager[Threads]:
    return open_threads(settings.vconflow_module_threads, settings.vconflow_module_stuck_threads)


@asynccontextmanager
async def _open_components(
    settings: Settings, desk: _Desk, clock: SystemClock, threads: Threads, spans: Spans | None
) -> AsyncIterator[Components]:
    async with (
        open_http() as http,
        open_fetcher(settings.vconflow_fetch_allow) as fetcher,
        open_providers(provider_options(settings), prices_of(settings)) as providers,
        open_pool() as pool,
    ):
        data_dir = Path(settings.vconflow_data_dir)
        yield Components(
            pool,
            Surroundings(
                http=http,
                fetcher=fetcher,
                documents=desk,
                objects=S3Objects(),
                clock=clock,
                data_dir=data_dir,
                providers=providers,
                modules=Host(threads, desk),
            ),
            Breakers(settings.vconflow_breaker_failures, clock.now),
            concurrency=settings.chain_concurrency,
            parallel=settings.conserver_parallel_storage,
            spans=spans,
        )
