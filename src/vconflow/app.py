"""The application: every client, pool and task, opened in order and closed in reverse."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp

from vconflow import __version__
from vconflow.adapters.clock import SystemClock
from vconflow.adapters.fetch import open_fetcher
from vconflow.adapters.http import open_http
from vconflow.adapters.redis.backend import RedisBackend, RedisOptions, open_backend
from vconflow.adapters.redis.chain_switch import RedisChainSwitch
from vconflow.adapters.redis.keys import Keys
from vconflow.api import Build, ChainInfo, Dependency, Services, Topology, build_asgi
from vconflow.component_pool import open_pool
from vconflow.components import Components, Surroundings
from vconflow.config import Config
from vconflow.conserver_data import tell_of_conserver_data
from vconflow.errors import ConfigError, Problem
from vconflow.following import dependencies, open_followers
from vconflow.live_config import ConfigFile, LiveConfig, Watch, watching
from vconflow.pipeline.breaker import Breaker, Breakers
from vconflow.pipeline.chain import Chains
from vconflow.pipeline.event_feed import EventFeed, open_event_feed
from vconflow.pipeline.fanout import Fanout, breaker_of
from vconflow.pipeline.followers import Followers
from vconflow.pipeline.ingest import Ingest
from vconflow.pipeline.replica import Policy, Ports, Replica, open_replica
from vconflow.settings import Settings
from vconflow.site import Site, open_site
from vconflow.telemetry.audit import AuditLog, Level, open_audit
from vconflow.watchdog import watch_loop

__all__ = ["App", "open_app"]

_PATIENCE = 3.0
"""Seconds within which Redis has to answer, to count as there."""


@dataclass(frozen=True)
class App:
    """A running replica behind an ASGI application."""

    asgi: ASGIApp
    replica: Replica
    backend: RedisBackend
    site: Site
    events: EventFeed
    watch: Watch


class _Saver:
    """Lets links store vCons, though links are opened before the way in that stores them."""

    ingest: Ingest

    async def save(self, document: bytes) -> str:
        return await self.ingest.save(document)


@asynccontextmanager
async def open_app(
    config: Config,
    settings: Settings,
    *,
    redis_url: str,
    config_file: Path | None = None,
    redis_trouble: Callable[[], str] = str,
) -> AsyncIterator[App]:
    """Open everything and start processing; drain and close at the end.

    `config_file` is where `config` came from, which is then watched. `redis_trouble` says what is
    known to hinder Redis, which /ready shows. Raises `ConfigError` when Redis or a component
    refuses to start.
    """
    async with AsyncExitStack() as stack:
        audit = await stack.enter_async_context(_open_audit(settings))
        options = _redis_options(settings)
        backend = await stack.enter_async_context(open_backend(redis_url, options))
        await tell_of_conserver_data(backend, config, settings.vcon_sorted_set_name)
        http = await stack.enter_async_context(open_http())
        fetcher = await stack.enter_async_context(open_fetcher(settings.vconflow_fetch_allow))
        saver, clock = _Saver(), SystemClock()
        surroundings = Surroundings(http, fetcher, saver, clock, Path(settings.vconflow_data_dir))
        breakers = Breakers(settings.vconflow_breaker_failures, clock.now)
        components = Components(
            await stack.enter_async_context(open_pool()),
            surroundings,
            breakers,
            concurrency=settings.chain_concurrency,
            parallel=settings.conserver_parallel_storage,
        )
        parts = await components.open(config)
        ports = _ports(backend, clock)
        replica, ingest, lookup = await stack.enter_async_context(
            open_replica(ports, parts.chains, parts.fanout, _policy(settings))
        )
        saver.ingest = ingest
        site = await stack.enter_async_context(
            open_site(config, parts, components, replica, backend.stream)
        )
        feed = await stack.enter_async_context(
            open_event_feed(backend.event_source, clock, limit=settings.vconflow_max_event_streams)
        )
        file = ConfigFile(config_file) if config_file else None
        live = LiveConfig(site, backend.config, os.environ, file)
        services = Services(
            settings=settings,
            ingest=ingest,
            lookup=lookup,
            documents=backend.documents,
            egress=backend.egress,
            dead_letters=backend.dead_letters,
            configuration=live,
            chains=site,
            history=backend.history,
            events=feed,
            followers=lambda: followers,
            topology=lambda: _topology(replica.chains),
            readiness=lambda: _readiness(backend, replica.fanout, redis_trouble, live, followers),
            stopping=lambda: replica.stopping,
            access=lambda: site.config.access,
            audit=audit,
            build=Build(__version__, settings.vconflow_commit, settings.vconflow_build_time),
        )
        await stack.enter_async_context(watch_loop(settings.vconflow_loop_stall))
        await live.start()
        await replica.start()
        poll = settings.vconflow_config_poll_seconds
        watch = await stack.enter_async_context(watching(live, backend.config, file, poll=poll))
        followers = await stack.enter_async_context(
            open_followers(site, settings, backend, ingest, clock, lambda: replica.stopping)
        )
        yield App(build_asgi(services), replica, backend, site, feed, watch)


@asynccontextmanager
async def _open_audit(settings: Settings) -> AsyncIterator[AuditLog]:
    async with AsyncExitStack() as stack:
        path, level = settings.vconflow_audit_log, Level[settings.audit_level.upper()]
        try:
            log = await stack.enter_async_context(open_audit(level, path))
        except OSError as error:
            message = f"{path} cannot be opened: {error.strerror}"
            problem = Problem(("VCONFLOW_AUDIT_LOG",), message, "unwritable")
            raise ConfigError([problem]) from error
        yield log


def _redis_options(settings: Settings) -> RedisOptions:
    return RedisOptions(
        replica=settings.vconflow_replica,
        lease=settings.vconflow_lease_seconds,
        egress_lease=settings.vconflow_egress_lease_seconds,
        document_ttl=settings.vcon_redis_expiry,
        index_expiry=settings.vcon_index_expiry,
        history_expiry=settings.vconflow_history_expiry,
        created_name=settings.vcon_sorted_set_name,
        durability=settings.vconflow_durability,
    )


def _ports(backend: RedisBackend, clock: SystemClock) -> Ports:
    return Ports(
        intake=backend.intake,
        documents=backend.documents,
        ledger=backend.ledger,
        stream=backend.stream,
        dead_letters=backend.dead_letters,
        sweeper=backend.documents,
        clock=clock,
        switch=RedisChainSwitch(backend.connections.commands, Keys()),
    )


def _policy(settings: Settings) -> Policy:
    return Policy(
        max_inflight=settings.vconflow_max_inflight,
        max_waiting=settings.vconflow_max_waiting,
        longest_probe=settings.vconflow_probe_seconds,
        lease=settings.vconflow_lease_seconds,
        grace=settings.vconflow_grace_seconds,
        poison_crashes=settings.vconflow_poison_crashes,
        dead_expiry=settings.vcon_dlq_expiry,
        read_storages=settings.vcon_storage_fallback_enabled,
    )


def _topology(chains: Chains) -> Topology:
    return Topology(
        chains={
            name: ChainInfo(tuple(chain.lists), tuple(chain.egress))
            for name, chain in chains.by_name.items()
        },
        feeds={name: chain.name for name, chain in chains.by_list.items()},
        lists=frozenset(chains.all_lists),
    )


async def _readiness(
    backend: RedisBackend,
    fanout: Fanout,
    trouble: Callable[[], str],
    live: LiveConfig,
    followers: Followers,
) -> Sequence[Dependency]:
    async def storage(name: str) -> Dependency:
        breaker = fanout.breakers.of(breaker_of(name))
        if breaker.is_open:
            return _down(breaker)
        started = time.perf_counter()
        error = ""
        try:
            await fanout.ping(name)
        # Whatever hinders it is what the reader wants to know.
        except Exception as failure:  # noqa: BLE001
            error = str(failure) or type(failure).__name__
        elapsed = (time.perf_counter() - started) * 1000
        # What is accepted while a storage is away waits for it: traffic may come all the same.
        return Dependency(f"storage:{name}", not error, round(elapsed, 2), error, required=False)

    async def redis() -> Dependency:
        try:
            async with asyncio.timeout(_PATIENCE):
                return Dependency("redis", True, round(await backend.ping() * 1000, 2))
        except Exception as failure:  # noqa: BLE001  # the same
            return Dependency("redis", False, 0.0, trouble() or str(failure) or "no answer")

    links = [_down(it) for it in fanout.breakers.open_ones if it.name.startswith("link:")]
    refused = str(live.troubles)
    configuration = Dependency("configuration", not refused, 0.0, refused, required=False)
    measured = await asyncio.gather(redis(), *map(storage, fanout.names))
    return [*measured, *links, configuration, *dependencies(followers)]


def _down(breaker: Breaker) -> Dependency:
    error = f"down for {breaker.seconds_open:.0f} s, what needs it waits: {breaker.error}"
    if breaker.retry_after:
        error = f"{error}; it asked for a pause of {breaker.retry_after:.0f} s"
    return Dependency(breaker.name, False, 0.0, error, required=False)
