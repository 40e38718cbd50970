"""The configuration file, read while others write it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from watchfiles import Change, awatch

from vconflow.errors import ConfigError, Problem

__all__ = ["ConfigFile"]

_SETTLE_SECONDS: Final = 0.25
"""Between two looks that have to see the same: an editor may write in several steps."""
_MOST_LOOKS: Final = 40


class ConfigFile:
    """A file that may be edited in place, replaced, or swapped by way of symbolic links."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def read(self) -> bytes | None:
        """Return the bytes once they no longer change, None while there is no such file."""
        known = await asyncio.to_thread(_read, self.path)
        for _ in range(_MOST_LOOKS):
            await asyncio.sleep(_SETTLE_SECONDS)
            found = await asyncio.to_thread(_read, self.path)
            if found == known:
                break
            known = found
        return known

    async def glance(self) -> bytes | None:
        """Return the bytes as they are now, None while there is no such file."""
        return await asyncio.to_thread(_read, self.path)

    async def changes(self) -> AsyncIterator[None]:
        """Yield when something happened to the file; not a promise to notice everything."""
        folders = await asyncio.to_thread(_folders, self.path)
        watching = awatch(
            *folders, watch_filter=self._concerns_it, debounce=400, step=50, recursive=False
        )
        async for _ in watching:
            yield
            if await asyncio.to_thread(_folders, self.path) != folders:
                return

    def _concerns_it(self, _change: Change, path: str) -> bool:
        # Kubernetes swaps the link `..data`, by which the file is reached.
        name = Path(path).name
        return name == self.path.name or name.startswith("..")

    def text(self, content: bytes | None) -> str:
        """Return the text of what was read. Raises ConfigError when that is none."""
        if content is None:
            raise ConfigError([Problem((), f"{self.path.name} cannot be read", "unreadable")])
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            message = f"{self.path.name} is not UTF-8: byte {error.start} cannot be read"
            raise ConfigError([Problem((), message, "unreadable")]) from None
        if not text.strip():
            # Far more often a file that is about to be written than the wish to run nothing.
            message = f"{self.path.name} is empty; write {{}} for a configuration without chains"
            raise ConfigError([Problem((), message, "empty")])
        return text


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _folders(path: Path) -> list[Path]:
    """Where it is named, and where it really is."""
    found = dict.fromkeys((path.absolute().parent, path.resolve().parent))
    return [folder for folder in found if folder.is_dir()]
