"""A replica that runs by a configuration and takes another while it runs."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from pipeline_support import Site as Lists
from reload_parts import WORLD

from vconflow.adapters.clock import SystemClock
from vconflow.adapters.redis.backend import RedisOptions, open_backend
from vconflow.adapters.redis.chain_switch import RedisChainSwitch
from vconflow.adapters.redis.keys import Keys
from vconflow.app.options import ports_of
from vconflow.config import Config
from vconflow.config.loading import build
from vconflow.model.vcon import Vcon
from vconflow.pipeline.breaker import Breakers
from vconflow.pipeline.replica import Policy, open_replica
from vconflow.site import Site, open_site
from vconflow.site.component_pool import ComponentPool, open_pool
from vconflow.site.components import Components, Surroundings

FAST = {"attempts": 3, "base": 0.01, "max": 0.02}
SLOW = {"attempts": 100, "base": 3_000_000, "max": 3_000_000}
"""Retries so rare that whoever waits for one waits for ever."""


def link(value: str = "x", *, retry: Mapping[str, Any] = FAST, **options: Any) -> dict[str, Any]:
    return {
        "module": "reload_parts:Mark",
        "options": {"value": value, **options},
        "retry": dict(retry),
    }


def shelf(name: str = "main", *, retry: Mapping[str, Any] = FAST, **options: Any) -> dict[str, Any]:
    return {
        "module": "reload_parts:Shelf",
        "options": {"shelf": name, **options},
        "retry": dict(retry),
    }


def chain(
    links: Sequence[str] = ("mark",),
    storages: Sequence[str] = ("shelf",),
    lists: Sequence[str] = ("in",),
    **options: Any,
) -> dict[str, Any]:
    return {
        "links": list(links),
        "storages": list(storages),
        "ingress_lists": list(lists),
        "egress_lists": ["out"],
        **options,
    }


def configured(
    links: Mapping[str, Any] | None = None,
    storages: Mapping[str, Any] | None = None,
    **chains: Any,
) -> Config:
    document = {
        "links": {"mark": link()} if links is None else dict(links),
        "storages": {"shelf": shelf()} if storages is None else dict(storages),
        "chains": chains or {"main": chain()},
    }
    return build(document, {})


@dataclass
class Running(Lists):
    """`Lists` is what tests do with lists; `site` takes configurations."""

    site: Site = field(kw_only=True)
    pool: ComponentPool = field(kw_only=True)
    breakers: Breakers = field(kw_only=True)

    async def tags(self, uuid: str) -> dict[str, str]:
        """What the links of the test left on a vCon."""
        document = await self.lookup.get(uuid)
        assert document is not None
        return dict(tag.split(":", 1) for tag in Vcon(document).tags)


class _DeafSwitch(RedisChainSwitch):
    """One whose announcements are lost."""

    async def listen(self, changed: Any) -> None:
        await asyncio.Event().wait()


@asynccontextmanager
async def running(
    url: str,
    config: Config,
    *,
    name: str = "one",
    lease: float = 30.0,
    hears: bool = True,
    **policy: Any,
) -> AsyncIterator[Running]:
    """A replica as the application opens it, without HTTP."""
    async with open_backend(url, RedisOptions(replica=name, lease=lease)) as backend:
        ports = ports_of(backend, SystemClock())
        if not hears:
            ports = replace(ports, switch=_DeafSwitch(backend.connections.commands, Keys()))
        nothing = cast("Any", None)
        around = Surroundings(nothing, nothing, nothing, ports.clock, Path("unused"), nothing)
        async with open_pool() as pool:
            breakers = Breakers()
            components = Components(pool, around, breakers, concurrency=100, parallel=True)
            parts = await components.open(config)
            rules = Policy(lease=lease, grace=policy.pop("grace", 5.0), **policy)
            async with (
                open_replica(ports, parts.chains, parts.fanout, rules) as (replica, ingest, lookup),
                open_site(config, parts, components, replica, backend.stream) as site,
            ):
                await replica.start()
                yield Running(
                    backend, replica, ingest, lookup, site=site, pool=pool, breakers=breakers
                )
        assert not pool.open
    assert not WORLD.still_open() or name != "one"


async def all_of(many: Running, count: int, name: str = "out") -> list[str]:
    """Pop until so many came, and see that no more come."""
    popped: list[str] = []
    async with asyncio.timeout(60):
        while len(popped) < count:
            popped += await many.popped(name)
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    return popped + await many.popped(name)
