"""The audit log: who did what to which vCon, and how it ended. Never content, never keys.

One JSON line per event with `"stream":"audit"`. Lines are gathered and written by a thread, so
that a slow disk never holds up a request; up to `_PAUSE` seconds of them die with the process. What
a disk takes no more is dropped and counted, and requests go on: refusing vCons would lose them.
"""

import asyncio
import enum
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

import msgspec

from vconflow.telemetry import events

__all__ = ["AuditEvent", "AuditLog", "Level", "open_audit"]

_PAUSE = 0.1
_MOST_BYTES = 16 * 1024 * 1024
_REFUSED = frozenset({401, 403, 429})

Write = Callable[[bytes], None]


class Level(enum.IntEnum):
    """What is written; each level includes those before it."""

    OFF = 0
    ADMIN = 1
    """What only an admin may do, and every request that was refused."""
    CHANGES = 2
    """Everything that stores, changes, hands on or deletes."""
    ALL = 3
    """Reading too."""


class AuditEvent(msgspec.Struct, omit_defaults=True, tag_field="stream", tag="audit"):
    """Who (`key` is its name, `client` an address), what, on what, and how it ended.

    `action` is the method and the template of the route, `about` holds uuids, lists and the like.
    """

    time: str
    action: str
    status: int
    key: str
    role: str
    client: str
    request_id: str
    about: dict[str, Any] = {}


class AuditLog:
    """Decides what is written and hands it on; without a writer it keeps nothing."""

    def __init__(self, level: Level = Level.OFF, write: Write | None = None) -> None:
        self._level = level if write else Level.OFF
        self._write = write

    def wants(self, level: Level, status: int) -> bool:
        """Whether an event of this level that ended so is written."""
        return self._level >= level or (status in _REFUSED and self._level > Level.OFF)

    def add(self, event: AuditEvent) -> None:
        """Write an event."""
        if self._write is not None:
            self._write(msgspec.json.encode(event) + b"\n")

    @staticmethod
    def now() -> str:
        """The time for an event."""
        seconds, fraction = divmod(time.time(), 1)
        return f"{_second(seconds)}.{int(fraction * 1000):03}+00:00"


@lru_cache(maxsize=1)
def _second(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@asynccontextmanager
async def open_audit(
    level: Level, path: Path | None, stream: TextIO | None = None
) -> AsyncIterator[AuditLog]:
    """Open the log to a file, or to a stream: standard error by default.

    The file is opened again when it was moved away, as log rotation does. Raises OSError when it
    cannot be opened at all.
    """
    if level is Level.OFF:
        yield AuditLog()
        return
    target = await asyncio.to_thread(_File, path) if path else _Stream(stream or sys.stderr)
    writer = _Writer(target)
    try:
        yield AuditLog(level, writer.write)
    finally:
        await writer.close()


class _Writer:
    """Gathers lines on the event loop and writes them in a thread, one batch after another."""

    def __init__(self, target: "_File | _Stream") -> None:
        self._target = target
        self._thread = ThreadPoolExecutor(1, "audit")
        self._loop = asyncio.get_running_loop()
        self._lines: list[bytes] = []
        self._size = 0
        self._dropped = 0
        self._flushing: asyncio.Task[None] | None = None

    def write(self, line: bytes) -> None:
        if self._size > _MOST_BYTES:
            self._dropped += 1
            return
        self._lines.append(line)
        self._size += len(line)
        if self._flushing is None:
            self._flushing = self._loop.create_task(self._flush(), name="audit")

    async def close(self) -> None:
        while self._flushing is not None:
            await asyncio.shield(self._flushing)
        self._thread.shutdown(wait=False)
        self._target.close()

    async def _flush(self) -> None:
        try:
            await asyncio.sleep(_PAUSE)
            while self._lines:
                lines, self._lines = self._lines, []
                try:
                    await self._loop.run_in_executor(
                        self._thread, self._target.write, b"".join(lines)
                    )
                except (OSError, ValueError) as error:
                    # ValueError is a stream that was closed.
                    events.audit_lost(len(lines), type(error).__name__)
                self._size -= sum(map(len, lines))
                if self._dropped:
                    dropped, self._dropped = self._dropped, 0
                    events.audit_lost(dropped, "it cannot be written fast enough")
        finally:
            self._flushing = None


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = self._open()
        self._is_torn = False

    def write(self, data: bytes) -> None:
        if self._was_moved():
            before, self._descriptor = self._descriptor, self._open()
            os.close(before)
            self._is_torn = False
        # A full disk may have taken half a line: the next one begins on its own.
        data = b"\n" + data if self._is_torn else data
        self._is_torn = True
        while data:
            data = data[os.write(self._descriptor, data) :]
        self._is_torn = False

    def close(self) -> None:
        os.close(self._descriptor)

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        return os.open(self._path, flags, 0o600)

    def _was_moved(self) -> bool:
        ours = os.fstat(self._descriptor)
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return True
        return (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino)


class _Stream:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        self._stream.write(data.decode())
        self._stream.flush()

    def close(self) -> None:
        """The stream is not ours."""
