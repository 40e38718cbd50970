"""Links and storages that a configuration names as `reload_parts:Class`, and what they saw."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar, Self

from vconflow.errors import Retryable
from vconflow.model.entry import StoredVcon
from vconflow.model.vcon import Vcon
from vconflow.ports.component import Options, Resources
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.testing.memory_storage import MemoryStorage


class World:
    """What all components of a test share; `reset` begins anew."""

    opened: Counter[str]
    closed: Counter[str]
    shelves: dict[str, dict[str, StoredVcon]]
    calls: list[tuple[str, str, str]]
    gate: asyncio.Event
    at_gate: int

    def reset(self) -> None:
        self.opened, self.closed = Counter(), Counter()
        self.shelves, self.calls = {}, []
        self.gate, self.at_gate = asyncio.Event(), 0

    def still_open(self) -> Counter[str]:
        return self.opened - self.closed


WORLD = World()


@asynccontextmanager
async def counted(name: str) -> AsyncIterator[None]:
    """Opened and closed in one task, as some libraries insist."""
    WORLD.opened[name] += 1
    task = asyncio.current_task()
    yield
    assert asyncio.current_task() is task
    WORLD.closed[name] += 1


class MarkOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    value: str = "x"
    seconds: float = 0.0
    gate: bool = False
    fails: bool = False


class Mark:
    """Tags what it sees; may take time, wait at the gate of the world, or fail each time."""

    options: ClassVar[type[Options]] = MarkOptions

    def __init__(self, options: MarkOptions, name: str) -> None:
        self._options, self._name = options, name
        self._closed = False

    @classmethod
    @asynccontextmanager
    async def open(cls, options: MarkOptions, resources: Resources) -> AsyncIterator[Self]:
        async with counted(f"{resources.name}={options.value}"):
            link = cls(options, resources.name)
            yield link
            link._closed = True

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        WORLD.calls.append((run.entry, self._name, self._options.value))
        if self._options.gate:
            WORLD.at_gate += 1
            await WORLD.gate.wait()
        await asyncio.sleep(self._options.seconds)
        assert not self._closed, "called after it was closed"
        if self._options.fails:
            raise RuntimeError("fails by configuration")
        vcon.add_tag(self._name, self._options.value)
        return CONTINUE


class ShelfOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    shelf: str = "main"
    seconds: float = 0.0
    down: bool = False
    pause: float | None = None


class Shelf(MemoryStorage):
    """Keeps vCons in a shelf of the world; `down` fails each time and asks for a `pause`."""

    options: ClassVar[type[Options]] = ShelfOptions

    @classmethod
    @asynccontextmanager
    async def open(cls, options: ShelfOptions, resources: Resources) -> AsyncIterator[Self]:
        async with counted(f"{resources.name}:{options.shelf}"):
            storage = cls()
            storage.vcons = WORLD.shelves.setdefault(options.shelf, {})
            storage.delay = options.seconds
            if options.down:
                storage.fail_with = Retryable("the shelf is down", retry_after=options.pause)
            yield storage
            storage.fail_with = AssertionError("used after it was closed")


class BrokenOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    hangs: bool = False


class Broken:
    """Cannot be opened."""

    options: ClassVar[type[Options]] = BrokenOptions
    readable: ClassVar[bool] = False

    @classmethod
    @asynccontextmanager
    async def open(cls, options: BrokenOptions, resources: Resources) -> AsyncIterator[Self]:
        if options.hangs:
            WORLD.at_gate += 1
            await WORLD.gate.wait()
        raise OSError("no such device")
        yield cls()
