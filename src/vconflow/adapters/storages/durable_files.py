"""Writing files so that each is there whole or not at all, also after a power cut."""

import contextlib
import ctypes
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Final

__all__ = ["DurableFiles", "NewFile"]

_AT_ONCE: Final = 64
"""How many files are open at the same time, and synced together."""
_PREPARED_LIMIT: Final = 4096
_ABANDONED_SECONDS: Final = 3600.0

_sync_file_range: Final = getattr(ctypes.CDLL(None), "sync_file_range", None)
"""Only Linux has it."""
_SYNC_FILE_RANGE_WRITE: Final = 2
_WHOLE: Final = ctypes.c_longlong(0)


@dataclass(slots=True)
class NewFile:
    """A file to write: `name` in `folder`, which is relative to the root.

    `commit` calls its argument, which puts the file in place, or refrains. It passes on whether
    this process has put another version in place lately.
    """

    folder: str
    name: str
    content: bytes
    commit: Callable[[Callable[[bool], None]], object]
    error: OSError | None = field(default=None, init=False)
    temporary: str | None = field(default=None, init=False)
    descriptor: int | None = field(default=None, init=False)

    def close(self) -> None:
        """Give up the descriptor. Raises OSError: NFS reports a full disk here."""
        if self.descriptor is not None:
            descriptor, self.descriptor = self.descriptor, None
            os.close(descriptor)

    def clean_up(self) -> None:
        """Give up the descriptor and the temporary file, as far as they are still there."""
        if self.descriptor is not None:
            with _keeping_error([self]):
                self.close()
        if self.temporary is not None:
            with _keeping_error([self]):
                _unlink(self.temporary)


class DurableFiles:
    """Writes below `root` by way of temporary names in `.tmp`, which must be on the same disk.

    Blocking: call it from a thread. Several threads and processes may write at the same time.
    While the event loop is busy, a thread waits for its turn after every system call: there are as
    few of them as possible.
    """

    def __init__(self, root: Path, *, file_mode: int, folder_mode: int, fsync: bool) -> None:
        self._root = root
        self._temporary = root / ".tmp"
        self._file_mode = file_mode
        self._folder_mode = folder_mode
        self._fsync = fsync
        self._prepared: set[Path] = set()

    def write(self, files: Sequence[NewFile]) -> None:
        """Write each file alone: one that fails gets its `error` and hinders no other."""
        by_folder = sorted(files, key=_folder_of)  # most folders are synced only once then
        for start in range(0, len(by_folder), _AT_ONCE):
            some = by_folder[start : start + _AT_ONCE]
            try:
                self._fill(some)
                if self._fsync:
                    _flush(some)
                for folder, together in groupby(filter(_is_sound, some), _folder_of):
                    self._put_in_place(self._root / folder, list(together))
            finally:
                for file in some:
                    file.clean_up()

    def remove(self, paths: Sequence[Path]) -> int:
        """Remove files; how many there were. Raises OSError."""
        removed = [path for path in paths if _unlink(path)]
        for folder in {path.parent for path in removed}:
            self._sync_folder(folder)
        return len(removed)

    def probe(self) -> None:
        """Write and remove a file. Raises OSError."""
        file = NewFile("", "ping", b"ping", lambda _: None)
        self.write([file])
        if file.error is not None:
            raise file.error

    def prepare(self, folder: Path) -> None:
        """Make a folder and what is missing above it. Raises OSError."""
        if folder in self._prepared and folder.is_dir():
            return
        below_root = self._root in folder.parents
        if below_root or not folder.parent.exists():
            self.prepare(folder.parent)
        made = _make_folder(folder, self._folder_mode)
        # A folder that a process made just before it was killed may not be on disk yet either.
        if made or below_root:
            self._sync_folder(folder.parent)
        if len(self._prepared) >= _PREPARED_LIMIT:
            self._prepared.clear()
        self._prepared.add(folder)

    def remove_abandoned(self) -> None:
        """Remove temporary files that a killed process left long ago. Raises OSError."""
        before = time.time() - _ABANDONED_SECONDS
        with contextlib.suppress(FileNotFoundError), os.scandir(self._temporary) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if entry.stat().st_mtime < before:
                        Path(entry).unlink()

    def _fill(self, files: Sequence[NewFile]) -> None:
        prefix = f"{self._temporary}{os.sep}{secrets.token_hex(12)}"
        with _keeping_error(files):
            self.prepare(self._temporary)
        is_as_asked = False
        for number, file in enumerate(filter(_is_sound, files)):
            try:
                descriptor = self._open(file, f"{prefix}-{number}")
                # The umask may have taken bits away, then from all of them.
                is_as_asked = is_as_asked or _mode_of(descriptor) == self._file_mode
                if not is_as_asked:
                    os.fchmod(descriptor, self._file_mode)
                _write(descriptor, file.content)
                if not self._fsync:
                    file.close()
            except OSError as error:
                file.error = error

    def _open(self, file: NewFile, path: str) -> int:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, self._file_mode)
        file.temporary, file.descriptor = path, descriptor
        return descriptor

    def _put_in_place(self, folder: Path, files: Sequence[NewFile]) -> None:
        with _keeping_error(files):
            self.prepare(folder)
            path = str(folder)
            for file in files:
                try:
                    file.commit(partial(_replace, file, path))
                except OSError as error:
                    file.error = error
            self._sync_folder(folder)

    def _sync_folder(self, folder: Path) -> None:
        if not self._fsync:
            return
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


_folder_of = attrgetter("folder")


def _is_sound(file: NewFile) -> bool:
    return file.error is None


@contextlib.contextmanager
def _keeping_error(files: Sequence[NewFile]) -> Iterator[None]:
    """Have the error of a step be that of these files, as far as they have none yet."""
    try:
        yield
    except OSError as error:
        for file in files:
            file.error = file.error or error


def _mode_of(descriptor: int) -> int:
    return stat.S_IMODE(os.fstat(descriptor).st_mode)


def _write(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _flush(files: Sequence[NewFile]) -> None:
    """Wait until the contents are on disk, one commit of the file system's journal for many.

    Writing all of them begins before the first is waited for: else each would be news for the
    journal, and have to wait for a commit of its own.
    """
    for file in filter(_is_sound, files):
        if _sync_file_range is not None:
            _sync_file_range(file.descriptor, _WHOLE, _WHOLE, _SYNC_FILE_RANGE_WRITE)
    for file in filter(_is_sound, files):
        assert file.descriptor is not None
        try:
            os.fsync(file.descriptor)
            file.close()
        except OSError as error:
            file.error = error


def _replace(file: NewFile, folder: str, has_others: bool) -> None:
    assert file.temporary is not None
    if has_others:
        # The kernel's own time stamps are too coarse to tell which of two copies is newer.
        now = time.time_ns()
        os.utime(file.temporary, ns=(now, now))
    os.replace(file.temporary, f"{folder}{os.sep}{file.name}")
    file.temporary = None


def _make_folder(folder: Path, mode: int) -> bool:
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    folder.chmod(mode)
    return True


def _unlink(path: Path | str) -> bool:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True
