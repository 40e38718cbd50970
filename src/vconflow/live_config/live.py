"""Which configuration is in force, and how another one comes into force."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from vconflow.config import Config, mask
from vconflow.errors import (
    ConfigError,
    Conflict,
    NotFound,
    RevisionMismatch,
    Unavailable,
)
from vconflow.live_config.builder import Builder
from vconflow.live_config.file import ConfigFile
from vconflow.live_config.in_force import InForce
from vconflow.live_config.trouble import Troubles
from vconflow.ports.config_store import ConfigStore, ConfigVersion, NewVersion, StoredConfig
from vconflow.telemetry import events

__all__ = ["Applier", "LiveConfig"]

_ROUNDS: Final = 10


class Applier(Protocol):
    """What runs by a configuration; see `vconflow.site.Site`."""

    @property
    def config(self) -> Config: ...

    async def apply(
        self, config: Config, confirm: Callable[[], Awaitable[None]] | None = None
    ) -> None: ...


class LiveConfig:
    """Keeps this replica on the stored configuration; implements `api.services.Configuration`.

    `site` runs by the configuration of the file at first. Every change is opened here before it is
    stored, and runs once it is stored: what is stored can be used, here at least.
    """

    def __init__(
        self,
        site: Applier,
        store: ConfigStore,
        env: Mapping[str, str],
        file: ConfigFile | None = None,
        *,
        data_dir: Path,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._site = site
        self._store = store
        self._file = file
        self._builder = Builder(site.config, env, data_dir)
        self._in_force = InForce(monotonic)
        self._turn = asyncio.Lock()
        self._file_hash = site.config.version
        self._content: bytes | None = None

    async def start(self) -> None:
        """Take what is stored, or store the file's: the latter if it is new.

        Raises Unavailable.
        """
        async with self._turn:
            await self._adopt(self._site.config, "start")
            await self._remember_file()

    @property
    def serial(self) -> int:
        """See `Configuration.serial`."""
        return self._in_force.serial

    @property
    def troubles(self) -> Troubles:
        """What is wrong with configurations that are not in force."""
        return self._in_force.troubles

    async def shown(self) -> tuple[int, dict[str, Any]]:
        """See `Configuration.shown`."""
        serial, config = self.serial, self._site.config
        return serial, await asyncio.to_thread(mask, config)

    async def versions(self) -> list[ConfigVersion]:
        """See `Configuration.versions`."""
        return await self._store.versions()

    async def version(self, serial: int) -> dict[str, Any]:
        """See `Configuration.version`."""
        stored = await self._get(serial)
        return await asyncio.to_thread(self._builder.masked, stored.document)

    async def replace(
        self, document: Any, *, by: str, comment: str = "", expected: int | None = None
    ) -> ConfigVersion:
        """See `Configuration.replace`."""
        base = await self._store.serial()
        async with self._turn:
            current = await self._on_base(base, expected)
            running = self._site.config
            config = await self._checked("api", self._builder.completed, document, running)
            return await self._change(config, current, by, comment, "api")

    async def roll_back(
        self, serial: int, *, by: str, comment: str = "", expected: int | None = None
    ) -> ConfigVersion:
        """See `Configuration.roll_back`."""
        base = await self._store.serial()
        stored = await self._get(serial)
        async with self._turn:
            current = await self._on_base(base, expected)
            config = await self._checked("rollback", self._builder.from_elsewhere, stored.document)
            comment = comment or f"rollback to version {serial}"
            return await self._change(config, current, by, comment, "rollback")

    async def catch_up(self) -> None:
        """Take the stored version if it is another one. Raises Unavailable."""
        async with self._turn:
            await self._catch_up()

    async def look_at_file(self, source: str) -> None:
        """Read the file again, and take it if it is new; `source` says why. Raises Unavailable."""
        file = self._file
        if file is None:
            return
        if source == "file" and await file.glance() == self._content:
            return
        content = await file.read()
        async with self._turn:
            try:
                config = await asyncio.to_thread(self._builder.from_file, file.text(content))
                await self._adopt(config, source)
            except ConfigError as error:
                self._in_force.refused_file(error, source)
            else:
                self.troubles.end("file")
            self._content = content

    # Within one turn

    async def _remember_file(self) -> None:
        """Note what the file holds, unless it has changed since this process read it."""
        if self._file is None:
            return
        content = await self._file.glance()
        with contextlib.suppress(ConfigError):
            config = await asyncio.to_thread(self._builder.from_file, self._file.text(content))
            if config.version == self._file_hash:
                self._content = content

    async def _adopt(self, config: Config, source: str, file_hash: str = "") -> None:
        """Make a configuration the stored one, unless the stored one came from the same file.

        `file_hash` is the version of the file's own configuration; by default it is this one.
        """
        file_hash = file_hash or config.version
        for _ in range(_ROUNDS):
            stored = await self._store.current()
            if stored is not None and stored.version.file_hash == file_hash:
                await self._take(stored, source)
                return
            self._in_force.stored = stored.version if stored else None
            new = NewVersion(
                document=config.raw, hash=config.version, file_hash=file_hash, by="file"
            )
            try:
                await self._make(config, new, source)
            except Conflict:
                continue  # another replica was faster, most likely with the same file
            return
        raise Unavailable("the configuration keeps being changed by others")

    async def _catch_up(self) -> None:
        serial = await self._store.serial()
        if serial == 0:
            # Redis has lost everything: what runs is all that is left.
            self._in_force.stored = None
            await self._adopt(self._site.config, "store", self._in_force.file_hash)
        elif serial != self._in_force.stored_serial or self._in_force.is_worth_another_try:
            stored = await self._store.current()
            if stored is not None:
                await self._take(stored, "store")

    async def _take(self, stored: StoredConfig, source: str) -> None:
        """Run by a stored version if this replica can; else keep what runs and say so."""
        version = stored.version
        self._in_force.stored = version
        if version.hash == self._site.config.version:
            self._in_force.took(version, source)
            return
        try:
            config = await asyncio.to_thread(self._builder.from_elsewhere, stored.document)
            await self._apply(config)
        except ConfigError as error:
            self._in_force.refused_stored(version, error, source)
        else:
            self._in_force.took(version, source)

    async def _change(
        self, config: Config, current: ConfigVersion, by: str, comment: str, source: str
    ) -> ConfigVersion:
        if config.version == current.hash and self.serial == current.serial:
            return current
        new = NewVersion(
            document=config.raw,
            hash=config.version,
            file_hash=current.file_hash,
            by=by,
            comment=comment,
        )
        try:
            return await self._make(config, new, source)
        except ConfigError as error:
            events.config_refused(source, len(error.problems), "it cannot be opened")
            raise

    async def _make(self, config: Config, new: NewVersion, source: str) -> ConfigVersion:
        """Open a configuration, store it and run by it; else all is as it was."""
        in_force = self._in_force
        expected = in_force.stored_serial

        async def store() -> None:
            in_force.stored = await self._store.put(new, expected=expected)

        if config.version == self._site.config.version:
            await store()
        else:
            await self._apply(config, store)
        assert in_force.stored is not None
        in_force.took(in_force.stored, source)
        return in_force.stored

    async def _apply(
        self, config: Config, confirm: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        try:
            await self._site.apply(config, confirm)
        except ConfigError as error:
            raise self._builder.without_values(error) from None

    async def _on_base(self, base: int, expected: int | None) -> ConfigVersion:
        """Catch up and return the current version. Raises Conflict or RevisionMismatch."""
        await self._catch_up()
        stored = self._in_force.stored
        if stored is None:
            raise Unavailable("the stored configuration cannot be read now")
        if expected not in (None, stored.serial):
            raise RevisionMismatch("The configuration has another version")
        if base not in (0, stored.serial):
            raise Conflict("The configuration was changed by somebody else meanwhile")
        return stored

    async def _checked(self, source: str, check: Callable[..., Config], *given: Any) -> Config:
        try:
            return await asyncio.to_thread(check, *given)
        except ConfigError as error:
            events.config_refused(source, len(error.problems), "see the answer")
            raise

    async def _get(self, serial: int) -> StoredConfig:
        stored = await self._store.get(serial) if serial else None
        if stored is None:
            raise NotFound(f"No version {serial} of the configuration is kept")
        return stored
