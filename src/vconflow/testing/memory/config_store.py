"""The versions of the configuration (`ports/config_store.py`)."""

import asyncio
import contextlib
from collections.abc import Callable

from vconflow.errors import Conflict
from vconflow.ports.config_store import KEPT_VERSIONS, ConfigVersion, NewVersion, StoredConfig

__all__ = ["MemoryConfigStore"]


class MemoryConfigStore:
    """Versions by serial. `error` is raised by every method while it is set."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.error: Exception | None = None
        self._now = now
        self._stored: dict[int, StoredConfig] = {}
        self._serial = 0
        self._news = asyncio.Event()

    async def serial(self) -> int:
        """See `ConfigStore.serial`."""
        await self._answer()
        return self._serial

    async def current(self) -> StoredConfig | None:
        """See `ConfigStore.current`."""
        await self._answer()
        return self._stored.get(self._serial)

    async def get(self, serial: int) -> StoredConfig | None:
        """See `ConfigStore.get`."""
        await self._answer()
        return self._stored.get(serial)

    async def versions(self) -> list[ConfigVersion]:
        """See `ConfigStore.versions`."""
        await self._answer()
        return [self._stored[serial].version for serial in sorted(self._stored, reverse=True)]

    async def put(self, new: NewVersion, *, expected: int) -> ConfigVersion:
        """See `ConfigStore.put`."""
        await self._answer()
        if expected != self._serial:
            raise Conflict("The configuration was changed by somebody else meanwhile")
        self._serial += 1
        version = ConfigVersion(
            serial=self._serial,
            hash=new.hash,
            file_hash=new.file_hash,
            at=self._now(),
            by=new.by,
            comment=new.comment,
        )
        self._stored[self._serial] = StoredConfig(version=version, document=new.document)
        self._stored.pop(self._serial - KEPT_VERSIONS, None)
        self._news.set()
        return version

    async def wait_for_news(self, seconds: float) -> None:
        """See `ConfigStore.wait_for_news`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
