"""A storage that takes its time, as a third party would configure one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, ClassVar, Self

from msgspec import Meta

from vconflow.model.entry import StoredVcon
from vconflow.ports.component import Options, Resources

__all__ = ["SlowOptions", "SlowStorage"]


class SlowOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the storage."""

    seconds: Annotated[float, Meta(ge=0, description="How long a write takes.")] = 0.1


class SlowStorage:
    """Waits, and keeps nothing but the uuids."""

    options: ClassVar[type[Options]] = SlowOptions
    readable: ClassVar[bool] = False

    def __init__(self, options: SlowOptions) -> None:
        self._seconds = options.seconds
        self._uuids: set[str] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, options: SlowOptions, resources: Resources) -> AsyncIterator[Self]:
        """Open the storage; it holds nothing."""
        yield cls(options)

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        """Wait once for the batch."""
        await asyncio.sleep(self._seconds)
        self._uuids.update(vcon.uuid for vcon in vcons)

    async def delete(self, uuid: str) -> bool:
        """Forget the vCon."""
        known = uuid in self._uuids
        self._uuids.discard(uuid)
        return known

    async def ping(self) -> None:
        """It is always there."""
