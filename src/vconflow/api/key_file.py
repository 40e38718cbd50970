"""The file of API keys, which may change at any time."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from vconflow.telemetry.log import get_logger

__all__ = ["KeyFile"]

_LOOK_AGAIN = 1.0
_GRACE = 1.0
_Stamp = tuple[int, int, int]

_log = get_logger()


class KeyFile:
    """The non-blank lines of a file, by name; read again when it changes.

    While it cannot be read the keys it had stay valid, and so do those that have left it within
    the last second: a file that is written in place is empty for a moment, and refusing a key
    makes clients drop their data.
    """

    def __init__(
        self,
        path: Path,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.keys: dict[str, str] = {}
        """Name by key."""
        self._path = path
        self._stamp: _Stamp | None = None
        self._leaving = False
        self._next_look = float("-inf")
        self._looks = 0
        self._looking = asyncio.Lock()
        self._monotonic = monotonic
        self._wall = wall

    @property
    def was_read(self) -> bool:
        return self._stamp is not None

    @property
    def is_due(self) -> bool:
        """Whether the last look is so long ago that a removed key might still be taken."""
        return self._monotonic() >= self._next_look

    async def look_again(self) -> bool:
        """Look at the file now; whether the keys have changed. Never raises.

        Of several callers one looks for all whose look had not begun when they called.
        """
        wanted = self._looks + 1
        before = self.keys
        async with self._looking:
            if self._looks < wanted:
                self._looks += 1
                self._next_look = self._monotonic() + _LOOK_AGAIN
                await self._look()
        return self.keys is not before

    async def _look(self) -> None:
        known = None if self._leaving else self._stamp
        try:
            read = await asyncio.to_thread(_read_if_changed, self._path, known, self._wall)
        except (OSError, UnicodeDecodeError) as error:
            _log.warning("api_key_file_unreadable", error=type(error).__name__)
            return
        if read is None:
            return
        self._stamp, lines, age = read
        listed = {line: _name(line) for line in lines}
        self._leaving = age < _GRACE and not self.keys.keys() <= listed.keys()
        found = self.keys | listed if self._leaving else listed
        if found != self.keys:
            self.keys = found


def _read_if_changed(
    file: Path, known: _Stamp | None, wall: Callable[[], float]
) -> tuple[_Stamp, Iterable[str], float] | None:
    """The stamp, the lines and how many seconds ago the file was written.

    The age is that of the moment of reading: the event loop may be late to look at the answer.
    """
    status = file.stat()
    stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
    if stamp == known:
        return None
    age = wall() - status.st_mtime_ns / 1e9
    lines = [text for line in file.read_text().splitlines() if (text := line.strip())]
    return stamp, lines, age


def _name(key: str) -> str:
    # Stable when lines move, and too short to find the key by.
    digest = hashlib.blake2b(key.encode(), digest_size=4, person=b"vconflow")
    return f"file:{digest.hexdigest()}"
