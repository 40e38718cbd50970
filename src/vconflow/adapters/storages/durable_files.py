"""Writing files so that each is there whole or not at all, also after a power cut."""

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["DurableFiles", "NewFile"]

_OPEN_AT_ONCE = 32
_PREPARED_LIMIT = 4096
_ABANDONED_SECONDS = 3600.0


@dataclass
class NewFile:
    """A file to write. `commit` calls its argument, which puts the file in place, or refrains."""

    path: Path
    content: bytes
    commit: Callable[[Callable[[], None]], object]
    error: OSError | None = field(default=None, init=False)
    temporary: Path | None = field(default=None, init=False)
    descriptor: int | None = field(default=None, init=False)

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """Keep the error of a step."""
        try:
            yield
        except OSError as error:
            self.error = error

    def clean_up(self) -> None:
        """Give up the descriptor and the temporary file, as far as they are still there."""
        if self.descriptor is not None:
            os.close(self.descriptor)
        if self.temporary is not None:
            with self.step():
                _unlink(self.temporary)


class DurableFiles:
    """Writes below `root` by way of temporary names in `.tmp`, which must be on the same disk.

    Blocking: call it from a thread. Several threads and processes may write at the same time.
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
        for start in range(0, len(files), _OPEN_AT_ONCE):
            some = files[start : start + _OPEN_AT_ONCE]
            try:
                # All are written before the first is synced: one flush then takes many along.
                for step in (self._fill, self._flush, self._put_in_place):
                    for file in some:
                        if file.error is None:
                            with file.step():
                                step(file)
            finally:
                for file in some:
                    file.clean_up()
        self._sync_folders(files)

    def remove(self, paths: Sequence[Path]) -> int:
        """Remove files; how many there were. Raises OSError."""
        removed = [path for path in paths if _unlink(path)]
        for folder in {path.parent for path in removed}:
            self._sync_folder(folder)
        return len(removed)

    def probe(self) -> None:
        """Write and remove a file. Raises OSError."""
        file = NewFile(self._root / "ping", b"ping", lambda _: None)
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

    def _fill(self, file: NewFile) -> None:
        self.prepare(self._temporary)
        path = self._temporary / secrets.token_hex(12)
        file.descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, self._file_mode)
        file.temporary = path
        os.fchmod(file.descriptor, self._file_mode)  # the umask may have taken bits away
        rest = memoryview(file.content)
        while rest:
            rest = rest[os.write(file.descriptor, rest) :]

    def _flush(self, file: NewFile) -> None:
        assert file.descriptor is not None
        if self._fsync:
            os.fsync(file.descriptor)
        descriptor, file.descriptor = file.descriptor, None
        os.close(descriptor)  # NFS reports a full disk here

    def _put_in_place(self, file: NewFile) -> None:
        assert file.temporary is not None
        source = file.temporary
        self.prepare(file.path.parent)

        def put_in_place() -> None:
            # The kernel's own time stamps are too coarse to tell which of two copies is newer.
            now = time.time_ns()
            os.utime(source, ns=(now, now))
            os.replace(source, file.path)

        file.commit(put_in_place)

    def _sync_folders(self, files: Sequence[NewFile]) -> None:
        for folder in {file.path.parent for file in files if file.error is None}:
            try:
                self._sync_folder(folder)
            except OSError as error:
                for file in files:
                    if file.path.parent == folder:
                        file.error = file.error or error

    def _sync_folder(self, folder: Path) -> None:
        if not self._fsync:
            return
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _make_folder(folder: Path, mode: int) -> bool:
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    folder.chmod(mode)
    return True


def _unlink(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True
