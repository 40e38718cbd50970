"""A tracer in memory, with switches for what goes wrong with real ones."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar, Self

from vconflow.ports.component import NoOptions, Options, Resources
from vconflow.ports.tracer import Passage

__all__ = ["MemoryTracer"]


class MemoryTracer:
    """Keeps every passage it was told of, in order.

    Set `fail_with` to have every call raise, `refuse` (uuid to error) to fail for some vCons, and
    `delay` (seconds) to have every call take time. `calls` and `pings` count the asked ones.
    """

    options: ClassVar[type[Options]] = NoOptions

    def __init__(self, *, required: bool = False) -> None:
        self.required = required
        self.passages: list[Passage] = []
        self.calls = self.pings = 0
        self.fail_with: Exception | None = None
        self.refuse: dict[str, Exception] = {}
        self.delay = 0.0

    @classmethod
    @asynccontextmanager
    async def open(cls, options: NoOptions, resources: Resources) -> AsyncIterator[Self]:
        """Open one that has been told nothing."""
        yield cls()

    async def trace(self, passage: Passage) -> None:
        """Keep it."""
        self.calls += 1
        await self._answer()
        if error := self.refuse.get(passage.out_uuid):
            raise error
        self.passages.append(passage)

    async def ping(self) -> None:
        """Raise `fail_with`, if it is set."""
        self.pings += 1
        await self._answer()

    def way(self, uuid: str) -> list[tuple[str, str]]:
        """Link and next link of everything told of a vCon, in order."""
        return [(it.link, it.next_link) for it in self.passages if it.out_uuid == uuid]

    async def _answer(self) -> None:
        await asyncio.sleep(self.delay)
        if self.fail_with is not None:
            raise self.fail_with
