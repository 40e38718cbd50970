"""Opened links and storages, each open for as long as a configuration in use names it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from vconflow import registry
from vconflow.config.urls import mask_credentials
from vconflow.errors import ConfigError, Problem, VconflowError
from vconflow.pipeline.cancelling import cancel_all
from vconflow.ports.component import Options, Resources
from vconflow.telemetry import events

__all__ = ["ComponentPool", "Opened", "Wanted", "open_pool"]

_PATIENCE = 60.0
"""Seconds that opening and closing may take: a change must not hang for ever."""
_SAFE = (VconflowError, registry.RegistryError, OSError, ImportError)
"""What says nothing of the values of options; a driver's own errors quote what they cannot read."""


class Wanted(NamedTuple):
    """A component as configured. Two that are equal are one; `place` is where it stands."""

    place: str
    target: str
    options: Options | None


@dataclass(eq=False)
class Opened:
    """An open component and how many use it."""

    wanted: Wanted
    component: Any
    owner: asyncio.Task[None]
    closing: asyncio.Event
    users: int = 1


class ComponentPool:
    """Opens components, and closes each when its last user has released it.

    Every component has a task that opens and closes it: a library may insist on one task for both.
    """

    def __init__(self) -> None:
        self._open: list[Opened] = []
        self._owners: set[asyncio.Task[None]] = set()

    async def acquire(self, wanted: Wanted, resources: Resources) -> Opened:
        """Open a component, or use one that is open already. Raises ConfigError."""
        for opened in self._open:
            # One that has ended by itself is of no use to anybody.
            if opened.wanted == wanted and not opened.owner.done():
                opened.users += 1
                return opened
        opened = await self._open_new(wanted, resources)
        self._open.append(opened)
        return opened

    async def release(self, opened: Opened) -> None:
        """Use it no longer; the last one waits until it is closed."""
        opened.users -= 1
        if not opened.users:
            self._open.remove(opened)
            await _end(opened)

    @property
    def open(self) -> list[str]:
        """The places of all open components."""
        return [opened.wanted.place for opened in self._open]

    async def close(self) -> None:
        """Close whatever is open, the last one first."""
        for opened in reversed(self._open):
            await _end(opened)
        self._open.clear()
        # Those that are still being opened, and those that somebody is closing.
        await cancel_all(self._owners)

    async def _open_new(self, wanted: Wanted, resources: Resources) -> Opened:
        ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        closing = asyncio.Event()
        owner = asyncio.create_task(
            _own(wanted, resources, ready, closing), name=f"component {wanted.place}"
        )
        self._owners.add(owner)
        owner.add_done_callback(self._ended)
        try:
            async with asyncio.timeout(_PATIENCE):
                component = await asyncio.shield(ready)
        except BaseException as error:
            await cancel_all([owner])
            if isinstance(error, Exception):
                raise _cannot(wanted, error) from error
            raise
        return Opened(wanted, component, owner, closing)

    def _ended(self, owner: asyncio.Task[None]) -> None:
        self._owners.discard(owner)
        if not owner.cancelled() and (error := owner.exception()):
            events.unhandled(owner.get_name(), error)


@asynccontextmanager
async def open_pool() -> AsyncIterator[ComponentPool]:
    """A pool that closes in the end what is open then."""
    pool = ComponentPool()
    try:
        yield pool
    finally:
        await pool.close()


async def _end(opened: Opened) -> None:
    opened.closing.set()
    await asyncio.wait([opened.owner], timeout=_PATIENCE)
    await cancel_all([opened.owner])


async def _own(
    wanted: Wanted, resources: Resources, ready: "asyncio.Future[Any]", closing: asyncio.Event
) -> None:
    try:
        component = registry.load(registry.Target(wanted.target))
        opening: AbstractAsyncContextManager[Any] = component.open(wanted.options, resources)
        async with opening as opened:
            ready.set_result(opened)
            await closing.wait()
    # Foreign code: whatever it raises while it opens is for whoever wanted it.
    except Exception as error:
        if ready.done():
            raise
        ready.set_exception(error)
    finally:
        ready.cancel()


def _cannot(wanted: Wanted, error: Exception) -> ConfigError:
    text = mask_credentials(str(error))
    if isinstance(error, TimeoutError) and not text:
        text = f"it takes longer than {_PATIENCE:g} s"
    # What others' components say of their options is for whoever wrote them.
    elif not text or (registry.is_built_in(wanted.target) and not isinstance(error, _SAFE)):
        text = type(error).__name__
    return ConfigError(
        [Problem(tuple(wanted.place.split(".", 1)), f"cannot be opened: {text}", "open")]
    )
