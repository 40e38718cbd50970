"""Opening the configured links, storages and tracers."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from vconflow.config import Config, LinkConfig, RetryConfig, StorageConfig, TracerConfig
from vconflow.pipeline.breaker import Breakers
from vconflow.pipeline.chain import Chain, Chains, Step, TracerUnit
from vconflow.pipeline.fanout import Fanout, StorageUnit
from vconflow.pipeline.retry import RetryPolicy
from vconflow.ports.clock import Clock
from vconflow.ports.component import Resources
from vconflow.ports.documents import DocumentSaver
from vconflow.ports.fetcher import Fetcher
from vconflow.ports.http import HttpSender
from vconflow.ports.modules import ModuleHost, NoModules
from vconflow.ports.objects import Objects
from vconflow.ports.providers import Providers
from vconflow.site.component_pool import ComponentPool, Opened, Wanted
from vconflow.telemetry.spans import Spans

__all__ = ["Components", "Parts", "Surroundings"]


@dataclass(frozen=True)
class Surroundings:
    """What all components of this process share."""

    http: HttpSender
    fetcher: Fetcher
    documents: DocumentSaver
    objects: Objects
    clock: Clock
    data_dir: Path
    providers: Providers
    modules: ModuleHost = field(default_factory=NoModules)

    def of(self, name: str) -> Resources:
        """What the component of that name is given."""
        return Resources(
            name=name,
            http=self.http,
            fetcher=self.fetcher,
            documents=self.documents,
            objects=self.objects,
            clock=self.clock,
            data_dir=self.data_dir,
            providers=self.providers,
            modules=self.modules,
        )


@dataclass(frozen=True)
class Parts:
    """What a configuration is made of when it runs; `opened` is to be released in the end."""

    chains: Chains
    fanout: Fanout
    opened: tuple[Opened, ...]


class Components:
    """Makes configurations ready to run.

    `concurrency` is that of chains which name none; without `parallel` a vCon's storages are
    written one after the other.
    """

    def __init__(
        self,
        pool: ComponentPool,
        surroundings: Surroundings,
        breakers: Breakers,
        *,
        concurrency: int,
        parallel: bool,
        spans: Spans | None = None,
    ) -> None:
        self._pool = pool
        self._surroundings = surroundings
        self._breakers = breakers
        self._concurrency = concurrency
        self._parallel = parallel
        self._spans = spans

    async def open(self, config: Config, before: Fanout | None = None) -> Parts:
        """Open what is not open yet: every storage, each link and tracer of enabled chains once.

        What runs `before` lends what stays as it was. When something cannot be opened nothing
        stays open, and it raises ConfigError.
        """
        opened: list[Opened] = []
        try:
            units = {
                name: await self._unit(name, storage, opened)
                for name, storage in config.storages.items()
                if storage.unbuilt is None
            }
            chains = await self._chains(config, opened)
        except BaseException:
            await self.release(opened)
            raise
        fanout = Fanout(
            units, self._breakers, parallel=self._parallel, before=before, spans=self._spans
        )
        return Parts(chains, fanout, tuple(opened))

    async def release(self, opened: Iterable[Opened]) -> None:
        """Close what nobody else uses, the last one first."""
        for item in reversed(tuple(opened)):
            await self._pool.release(item)

    async def _chains(self, config: Config, opened: list[Opened]) -> Chains:
        chains: dict[str, Chain] = {}
        steps: dict[str, Step] = {}
        tracers: dict[str, TracerUnit] = {}
        for name, chain in config.chains.items():
            if not chain.enabled:
                continue
            for link in () if chain.held else chain.links:
                if link not in steps:
                    steps[link] = await self._step(link, config.links[link], opened)
            for tracer in () if chain.held else chain.tracers:
                if tracer not in tracers:
                    tracers[tracer] = await self._tracer(tracer, config.tracers[tracer], opened)
            chains[name] = Chain(
                name=name,
                steps=() if chain.held else tuple(steps[link] for link in chain.links),
                storages=chain.storages,
                lists=chain.ingress_lists,
                egress=chain.egress_lists,
                concurrency=chain.concurrency or self._concurrency,
                timeout=chain.timeout,
                held=chain.held,
                tracers=() if chain.held else tuple(tracers[tracer] for tracer in chain.tracers),
            )
        return Chains(chains)

    async def _unit(self, name: str, config: StorageConfig, opened: list[Opened]) -> StorageUnit:
        item = await self._open("storages", name, config, opened)
        return StorageUnit(
            name=name,
            storage=item.component,
            timeout=config.timeout,
            retry=_policy(config.retry),
            max_items=config.batch.items,
            max_bytes=config.batch.bytes,
            parallel=config.batch.parallel,
            recall=getattr(item.component, "recall", None),
            forgets=bool(getattr(item.component, "forgets", False)),
        )

    async def _step(self, name: str, config: LinkConfig, opened: list[Opened]) -> Step:
        link = (await self._open("links", name, config, opened)).component
        # What a link plans to take, such as a delay, is no reason to call it stuck.
        planned = float(getattr(link, "planned_seconds", 0.0))
        return Step(
            name=name,
            link=link,
            timeout=planned + config.timeout,
            retry=_policy(config.retry),
            paid=bool(getattr(link, "paid", False)),
            repeatable=bool(getattr(link, "repeatable", False)),
            routes=tuple(getattr(link, "routes", ())),
        )

    async def _tracer(self, name: str, config: TracerConfig, opened: list[Opened]) -> TracerUnit:
        item = await self._open("tracers", name, config, opened)
        return TracerUnit(name, item.component, config.timeout, _policy(config.retry))

    async def _open(
        self,
        section: str,
        name: str,
        config: LinkConfig | StorageConfig | TracerConfig,
        opened: list[Opened],
    ) -> Opened:
        resources = self._surroundings.of(name)
        wanted = Wanted(f"{section}.{name}", config.target, config.options)
        item = await self._pool.acquire(wanted, resources)
        opened.append(item)
        return item


def _policy(retry: RetryConfig) -> RetryPolicy:
    return RetryPolicy(retry.attempts, retry.base, retry.max)
