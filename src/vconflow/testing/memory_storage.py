"""A storage in memory, with switches for what goes wrong with real ones."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar, Self

from vconflow.errors import PartialFailure
from vconflow.model.entry import StoredVcon
from vconflow.ports.component import NoOptions, Options, Resources

__all__ = ["MemoryStorage"]


class MemoryStorage:
    """Keeps the newest revision of each vCon until the process ends.

    Set `fail_with` to have every call raise, `delay` (seconds) to have every call take time, and
    `refuse` (uuid to error) to have `put` fail for some vCons. `batches` holds the uuids of every
    batch that was put, in order, also of those that failed.
    """

    options: ClassVar[type[Options]] = NoOptions
    readable: ClassVar[bool] = True

    def __init__(self) -> None:
        self.vcons: dict[str, StoredVcon] = {}
        self.batches: list[list[str]] = []
        self.fail_with: Exception | None = None
        self.delay = 0.0
        self.refuse: dict[str, Exception] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, options: NoOptions, resources: Resources) -> AsyncIterator[Self]:
        """Open an empty storage."""
        yield cls()

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        """Keep those that are not refused."""
        self.batches.append([vcon.uuid for vcon in vcons])
        await self._answer()
        failures = {vcon.uuid: self.refuse[vcon.uuid] for vcon in vcons if vcon.uuid in self.refuse}
        for vcon in vcons:
            held = self.vcons.get(vcon.uuid)
            if vcon.uuid not in failures and (held is None or held.rev <= vcon.rev):
                self.vcons[vcon.uuid] = vcon
        if failures:
            raise PartialFailure(failures)

    async def get(self, uuid: str) -> bytes | None:
        """Return the bytes of the newest revision."""
        await self._answer()
        vcon = self.vcons.get(uuid)
        return None if vcon is None else vcon.document

    async def delete(self, uuid: str) -> bool:
        """Forget the vCon."""
        await self._answer()
        return self.vcons.pop(uuid, None) is not None

    async def ping(self) -> None:
        """Raise `fail_with`, if it is set."""
        await self._answer()

    async def _answer(self) -> None:
        await asyncio.sleep(self.delay)
        if self.fail_with is not None:
            raise self.fail_with
