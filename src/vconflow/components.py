"""Opening the configured links and storages."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from vconflow import registry
from vconflow.config import Config, LinkConfig, RetryConfig, StorageConfig
from vconflow.errors import ConfigError, Problem, VconflowError
from vconflow.pipeline.breaker import Breakers
from vconflow.pipeline.chain import Chain, Chains, Step
from vconflow.pipeline.fanout import Fanout, StorageUnit
from vconflow.pipeline.retry import RetryPolicy
from vconflow.ports.clock import Clock
from vconflow.ports.component import Resources
from vconflow.ports.documents import DocumentSaver
from vconflow.ports.http import HttpSender

__all__ = ["Components"]


class Components:
    """Opens components into an exit stack that closes them again, the last one first."""

    def __init__(
        self,
        stack: AsyncExitStack,
        http: HttpSender,
        documents: DocumentSaver,
        clock: Clock,
        data_dir: Path,
    ) -> None:
        self._stack = stack
        self._http = http
        self._documents = documents
        self._clock = clock
        self._data_dir = data_dir

    async def storages(self, config: Config, breakers: Breakers, *, parallel: bool) -> Fanout:
        """Open every storage that this version has."""
        units = {}
        for name, storage in config.storages.items():
            if storage.unbuilt is None:
                units[name] = await self._storage(name, storage)
        return Fanout(units, breakers, parallel=parallel)

    async def chains(self, config: Config, *, concurrency: int) -> Chains:
        """Open the links of every enabled chain, each link once however many chains use it."""
        chains: dict[str, Chain] = {}
        steps: dict[str, Step] = {}
        for name, chain in config.chains.items():
            if not chain.enabled:
                continue
            for link in () if chain.held else chain.links:
                if link not in steps:
                    steps[link] = await self._step(link, config.links[link])
            chains[name] = Chain(
                name=name,
                steps=() if chain.held else tuple(steps[link] for link in chain.links),
                storages=chain.storages,
                lists=chain.ingress_lists,
                egress=chain.egress_lists,
                concurrency=chain.concurrency or concurrency,
                timeout=chain.timeout,
                held=chain.held,
            )
        return Chains(chains)

    async def _storage(self, name: str, config: StorageConfig) -> StorageUnit:
        return StorageUnit(
            name=name,
            storage=await self._open(f"storages.{name}", name, config),
            timeout=config.timeout,
            retry=_policy(config.retry),
            max_items=config.batch.items,
            max_bytes=config.batch.bytes,
            parallel=config.batch.parallel,
        )

    async def _step(self, name: str, config: LinkConfig) -> Step:
        link = await self._open(f"links.{name}", name, config)
        # What a link plans to take, such as a delay, is no reason to call it stuck.
        planned = float(getattr(link, "planned_seconds", 0.0))
        return Step(
            name=name,
            link=link,
            timeout=planned + config.timeout,
            retry=_policy(config.retry),
            paid=bool(getattr(link, "paid", False)),
        )

    async def _open(self, place: str, name: str, config: LinkConfig | StorageConfig) -> Any:
        resources = Resources(name, self._http, self._documents, self._clock, self._data_dir)
        component = registry.load(registry.Target(config.target))
        try:
            return await self._stack.enter_async_context(component.open(config.options, resources))
        except (VconflowError, OSError, ValueError) as error:
            message = f"cannot be opened: {error}"
            raise ConfigError([Problem((place,), message, "open")]) from error


def _policy(retry: RetryConfig) -> RetryPolicy:
    return RetryPolicy(retry.attempts, retry.base, retry.max)
