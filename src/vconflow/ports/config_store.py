"""Keeping the configuration that all replicas share, and its earlier versions."""

from typing import Any, Protocol

import msgspec

__all__ = ["KEPT_VERSIONS", "ConfigStore", "ConfigVersion", "NewVersion", "StoredConfig"]

KEPT_VERSIONS = 100
"""How many versions are kept, the current one included."""


class NewVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version that is to be stored.

    `document` is as written, `${NAME}` unexpanded, and may hold literal secrets. `hash` is the
    short hash of its content; `file_hash` that of the file which it was made from, changed by
    others since. `by` is who made it: `file`, the name of an API key, ….
    """

    document: dict[str, Any]
    hash: str
    file_hash: str
    by: str
    comment: str = ""


class ConfigVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a version without its document; `at` is in Unix milliseconds.

    `serial` is 1 for the first version and grows by 1.
    """

    serial: int
    hash: str
    file_hash: str
    at: int
    by: str
    comment: str = ""


class StoredConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A version with its document."""

    version: ConfigVersion
    document: dict[str, Any]

    def __repr__(self) -> str:
        # The document may hold credentials.
        return f"StoredConfig({self.version!r})"


class ConfigStore(Protocol):
    """The versions of one configuration. All methods raise Unavailable while Redis is away."""

    async def serial(self) -> int:
        """The serial of the current version, 0 when none is stored; cheap."""
        ...

    async def current(self) -> StoredConfig | None:
        """The current version, None when none is stored."""
        ...

    async def get(self, serial: int) -> StoredConfig | None:
        """A version by its serial, None when it is not or no longer kept."""
        ...

    async def versions(self) -> list[ConfigVersion]:
        """What is kept, the newest first."""
        ...

    async def put(self, new: NewVersion, *, expected: int) -> ConfigVersion:
        """Store the next version if `expected` is the serial of the current one, and announce it.

        Raises Conflict if another version has become the current one.
        """
        ...

    async def wait_for_news(self, seconds: float) -> None:
        """Return when a version was announced, or after so many seconds.

        An announcement may be lost, and a return without one means nothing.
        """
        ...
