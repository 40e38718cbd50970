"""What runs now, by which configuration."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from vconflow.config import Config
from vconflow.errors import NotFound
from vconflow.pipeline.cancelling import cancel_all
from vconflow.pipeline.chain_status import measure_chains
from vconflow.pipeline.fanout import breaker_of
from vconflow.pipeline.generation import Generation
from vconflow.pipeline.replica import Replica
from vconflow.ports.chain_control import ChainDescription, ChainLink, ChainStatus
from vconflow.ports.stream import EntryStream
from vconflow.site.components import Components, Parts
from vconflow.telemetry import events

__all__ = ["Site", "open_site"]

_CHANGE = "change of the configuration"
_PATIENCE = 5.0
"""Seconds that attempts of retired configurations get at the very end."""


Confirm = Callable[[], Awaitable[None]]


class Site:
    """The running pipeline of this replica; `config` is the configuration in force.

    `on_applied` are told after every swap, within it: they must not wait. Implements
    `ports.chain_control.ChainControl`.
    """

    def __init__(
        self,
        config: Config,
        parts: Parts,
        components: Components,
        replica: Replica,
        stream: EntryStream,
    ) -> None:
        self.config = config
        self.on_applied: list[Callable[[Config], None]] = []
        self._parts = parts
        self._components = components
        self._replica = replica
        self._stream = stream
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def apply(self, config: Config, confirm: Confirm | None = None) -> None:
        """Run by `config` from now on; entries under way finish under the one they began with.

        Opens whatever is new first. When something cannot be opened, raises ConfigError with its
        place; Unavailable when Redis is away or the process is stopping. Everything is as it was
        then. Two calls at once take turns. Cancelling the caller does not stop it half-way.

        `confirm` is awaited once everything is open; what it raises keeps all as it was.
        """
        await asyncio.shield(self._start(self._apply(config, confirm), _CHANGE))

    async def chains(self) -> list[ChainStatus]:
        """Every configured chain, in configured order. Raises Unavailable."""
        described = [_describe(self.config, name) for name in self.config.chains]
        return await measure_chains(described, self._replica, self._stream)

    async def chain(self, name: str) -> ChainStatus:
        """One chain. Raises NotFound, Unavailable."""
        self._require(name)
        described = [_describe(self.config, name)]
        return (await measure_chains(described, self._replica, self._stream))[0]

    async def pause(self, name: str) -> None:
        """See `ChainControl.pause`."""
        self._require(name)
        await self._replica.pause(name)

    async def resume(self, name: str) -> None:
        """See `ChainControl.resume`."""
        self._require(name)
        await self._replica.resume(name)

    async def close(self) -> None:
        """Give up a change under way, and wait until what retired is closed."""
        for task in self._tasks:
            if task.get_name() == _CHANGE:
                task.cancel()
        if self._tasks:
            # An attempt that does not let itself be cancelled must not hold up the end.
            await asyncio.wait(self._tasks, timeout=_PATIENCE)
        await cancel_all(self._tasks)

    def _require(self, name: str) -> None:
        if name not in self.config.chains:
            raise NotFound(f"Chain '{name}' is not configured")

    async def _apply(self, config: Config, confirm: Confirm | None) -> None:
        async with self._lock:
            parts = await self._components.open(config, self._parts.fanout)
            try:
                await self._replica.prepare(parts.chains)
                if confirm is not None:
                    await confirm()
                changed = _changed(self.config, config)
                retired = self._replica.switch_to(parts.chains, parts.fanout, changed)
            except BaseException:
                await self._components.release(parts.opened)
                raise
            before, self._parts, self.config = self._parts, parts, config
            self._start(self._close(retired, before), "close components")
            self._tell(config)

    def _tell(self, config: Config) -> None:
        for told in self.on_applied:
            try:
                told(config)
            # The change is done: one that cannot follow must not keep the others from it.
            except Exception as error:  # noqa: BLE001
                events.unhandled("on_applied", error)

    async def _close(self, retired: Generation, parts: Parts) -> None:
        await self._replica.generations.ended(retired)
        await self._components.release(parts.opened)

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # Whoever asked for a change is told himself.
        if task.get_name() != _CHANGE and not task.cancelled() and (error := task.exception()):
            events.unhandled(task.get_name(), error)


@asynccontextmanager
async def open_site(
    config: Config, parts: Parts, components: Components, replica: Replica, stream: EntryStream
) -> AsyncIterator[Site]:
    """The site of a replica that runs by `config`; at the end it stops the replica."""
    site = Site(config, parts, components, replica, stream)
    try:
        yield site
    finally:
        if not replica.stopping:
            await replica.stop()
        await site.close()


def _changed(before: Config, after: Config) -> list[str]:
    """The breakers of what is configured in another way now."""
    links = [f"link:{name}" for name, link in after.links.items() if before.links.get(name) != link]
    storages = [
        breaker_of(name)
        for name, storage in after.storages.items()
        if before.storages.get(name) != storage
    ]
    tracers = [
        f"tracer:{name}" for name, it in after.tracers.items() if before.tracers.get(name) != it
    ]
    return [*links, *storages, *tracers]


def _describe(config: Config, name: str) -> ChainDescription:
    chain = config.chains[name]
    return ChainDescription(
        name=name,
        enabled=chain.enabled,
        held=chain.held,
        links=tuple(ChainLink(link, config.links[link].module) for link in chain.links),
        storages=chain.storages,
        tracers=chain.tracers,
        ingress_lists=chain.ingress_lists,
        egress_lists=chain.egress_lists,
    )
