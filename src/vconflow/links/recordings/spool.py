"""Temporary files that are always cleared away."""

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from io import BufferedWriter
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from vconflow.errors import Permanent
from vconflow.links.recordings.content_check import ContentCheck

__all__ = ["PREFIX", "Spool", "remove_forgotten", "spooled", "to_the_end"]

_BATCH: Final = 1024 * 1024
PREFIX: Final = "recording-"
"""What the names of everything temporary begin with."""
_FORGOTTEN_SECONDS: Final = 86400.0

P = ParamSpec("P")
T = TypeVar("T")


class Spool:
    """A temporary file of at most `limit` bytes; `check` sees everything that goes into it.

    What touches the disk, or takes its time, is to be called in a thread.
    """

    def __init__(self, folder: Path, limit: int, check: ContentCheck) -> None:
        self._folder = folder
        self._limit = limit
        self._check = check
        self._file: BufferedWriter | None = None
        self._waiting: list[bytes] = []
        self._waiting_size = 0
        self.path = folder
        self.size = 0

    def create(self) -> None:
        """Make the file, which only this user can read. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=PREFIX, dir=self._folder)
        self.path, self._file = Path(name), os.fdopen(descriptor, "wb")

    async def write(self, chunk: bytes) -> None:
        """Append a chunk: in a thread, a MiB at a time. Not to be called in one."""
        self._waiting.append(chunk)
        self._waiting_size += len(chunk)
        if self._waiting_size >= _BATCH:
            await self.flush()

    async def flush(self) -> None:
        """Append what still waits."""
        chunks, self._waiting, self._waiting_size = self._waiting, [], 0
        await to_the_end(self.append, chunks)

    def append(self, chunks: Iterable[bytes]) -> None:
        """Append chunks at once. Raises Permanent past the limit, and OSError."""
        assert self._file is not None
        for chunk in chunks:
            self.size += len(chunk)
            if self.size > self._limit:
                raise Permanent(f"more than {self._limit} bytes")
            self._file.write(chunk)
            self._check.update(chunk)
        self._file.flush()

    def remove(self) -> None:
        """Close and delete the file, if it was made."""
        if self._file is not None:
            self.path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self._file.close()  # writes what is left, perhaps onto a full disk


@asynccontextmanager
async def spooled(folder: Path, limit: int, check: ContentCheck) -> AsyncIterator[Spool]:
    """A temporary file in `folder`, which is made if need be; gone when the context ends."""
    spool = Spool(folder, limit, check)
    try:
        await to_the_end(spool.create)
        yield spool
    finally:
        await to_the_end(spool.remove)


async def to_the_end(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` in a thread. Whoever is cancelled meanwhile is so when it has ended: until then
    nobody may clear away what it works on.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return running.result()


def remove_forgotten(folder: Path) -> None:
    """Delete what a killed process left, once no other can still be at work on it: after a day."""
    oldest = time.time() - _FORGOTTEN_SECONDS
    for path in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
