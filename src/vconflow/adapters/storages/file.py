"""File storage: one JSON file per vCon, `YYYY/MM/DD/uuid.json` by default."""

import asyncio
import contextlib
import errno
import gzip
import re
import time
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Final, Self

from msgspec import Meta

from vconflow.adapters.storages.durable_files import DurableFiles, NewFile
from vconflow.adapters.storages.file_layout import Layout
from vconflow.adapters.storages.places import raise_failures, uuid_in_path
from vconflow.adapters.storages.revisions import Revisions
from vconflow.errors import Permanent, Retryable
from vconflow.model.entry import StoredVcon
from vconflow.ports.component import EXPECTED, LOCAL_PATH, Options, Resources

__all__ = ["FileOptions", "FileStorage"]

# Faults of the one file. All others (a full or read-only disk, a missing right, an I/O error) are
# for the operator to repair, and the same write may succeed then.
_PERMANENT_ERRNO: Final = frozenset({errno.EFBIG, errno.ENAMETOOLONG})
_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
_IN_WORDS: Final = (
    "up to 64 letters, digits, dots, hyphens and underscores, a letter or digit first"
)

_PROGRAM: Final = re.compile(
    r"app|aspx?|bat|bin|cgi|class|cmd|com|desktop|dll|dylib|elf|exe|fcgi|jar|jsp|lua|m?js|msi|"
    r"p[lm]|phar|php|phtml|psm?1|pth|py[cowz]?|rb|run|service|[a-z]*sh|[sx]?html?|so|socket|svg|"
    r"tcl|timer|vbs|war|wasm",
    re.IGNORECASE,
)
"""Extensions of what is run, by shells, interpreters, web servers or browsers."""
_RUNNABLE: Final = 0o7111
_READ: Final = 0o400
_ENTER: Final = 0o700
_SLIPS: Final = frozenset({400, 440, 444, 500, 550, 555})
"""Numbers that are modes by themselves, and hardly meant to be any but those of their digits."""


class FileOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the storage `file`."""

    path: Annotated[
        str,
        Meta(
            description="The folder of the files; empty is `storage/<name>` in the data folder.",
            extra={LOCAL_PATH: True},
        ),
    ] = ""
    organize_by_date: Annotated[
        bool, Meta(description="Folders `YYYY/MM/DD` by created_at in UTC, else one flat folder.")
    ] = True
    compression: Annotated[
        bool, Meta(description="Compress with gzip; the name ends in `.gz`.")
    ] = False
    max_file_size: Annotated[
        int, Meta(ge=1, description="Larger vCons, in bytes before compression, are refused.")
    ] = 10_485_760
    file_permissions: Annotated[
        int | str,
        Meta(description="Mode of the files, never executable; a string is octal, as in `0644`."),
    ] = "0644"
    dir_permissions: Annotated[
        int | str, Meta(description="Mode of the folders that are made; a string is octal.")
    ] = "0755"
    add_timestamp_to_filename: Annotated[
        bool,
        Meta(
            description="Keep every version, `uuid_YYYYMMDDThhmmssffffffZ.json`. The newest is the "
            "one that counts. Reading one back lists all files."
        ),
    ] = False
    filename: Annotated[
        str,
        Meta(
            pattern=f"^$|{_NAME}",
            extra={EXPECTED: _IN_WORDS},
            description="What names begin with, before `_` and the uuid.",
        ),
    ] = ""
    extension: Annotated[
        str,
        Meta(
            pattern=_NAME,
            extra={EXPECTED: _IN_WORDS},
            description="What names end in; not that of a program.",
        ),
    ] = "json"
    fsync: Annotated[
        bool, Meta(description="Wait for the disk. Without it a power cut may lose stored vCons.")
    ] = True

    def __post_init__(self) -> None:
        # JSON can be made to be a program too: nobody who sends vCons shall have one run here.
        file_mode, _ = self.modes
        if file_mode & _RUNNABLE:
            raise ValueError("file_permissions must make no file executable")
        if any(map(_PROGRAM.fullmatch, self.extension.split("."))):
            raise ValueError("extension must not be that of a program")

    @property
    def modes(self) -> tuple[int, int]:
        """Those of files and of folders. Raises ValueError."""
        return (
            _mode("file_permissions", self.file_permissions, _READ),
            _mode("dir_permissions", self.dir_permissions, _ENTER),
        )


class FileStorage:
    """Writes a temporary file, syncs it and renames it: a name never stands for half a vCon.

    Revisions are not on disk: this process lets no older one replace a newer one that it wrote
    itself, another process might.
    """

    options: ClassVar[type[Options]] = FileOptions
    readable: ClassVar[bool] = True

    def __init__(self, options: FileOptions, root: Path) -> None:
        self._compression = options.compression
        self._max_size = options.max_file_size
        self._revisions = Revisions()
        self._layout = Layout(
            root,
            by_date=options.organize_by_date,
            prefix=f"{options.filename}_" if options.filename else "",
            extension=options.extension,
            compressed=options.compression,
            stamped=options.add_timestamp_to_filename,
        )
        file_mode, folder_mode = options.modes
        self._files = DurableFiles(
            root,
            file_mode=file_mode,
            folder_mode=folder_mode,
            fsync=options.fsync,
        )

    @classmethod
    @asynccontextmanager
    async def open(cls, options: FileOptions, resources: Resources) -> AsyncIterator[Self]:
        """Open the storage. A folder that cannot be used is reported by `ping` and `put`."""
        data_dir = None if options.path else resources.data_dir
        path = data_dir / "storage" / resources.name if data_dir else Path(options.path)
        storage = cls(options, await asyncio.to_thread(_absolute, path))
        await asyncio.to_thread(storage._prepare, data_dir)
        yield storage

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        """Write a batch. Raises Retryable when nothing could be written, else PartialFailure."""
        raise_failures(await asyncio.to_thread(self._put, vcons), len(vcons))

    async def get(self, uuid: str) -> bytes | None:
        """Return the bytes last put. Raises Permanent when the file is damaged."""
        return await asyncio.to_thread(self._get, uuid)

    async def delete(self, uuid: str) -> bool:
        """Remove every file of the vCon."""
        return await asyncio.to_thread(self._delete, uuid)

    async def ping(self) -> None:
        """Write a file and remove it."""
        await asyncio.to_thread(self._ping)

    # What follows runs in threads.

    def _prepare(self, data_dir: Path | None) -> None:
        with contextlib.suppress(OSError):
            if data_dir is not None:
                data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._files.prepare(self._layout.root)
            self._files.remove_abandoned()

    def _put(self, vcons: Sequence[StoredVcon]) -> dict[str, Exception]:
        failures: dict[str, Exception] = {}
        files: dict[str, NewFile] = {}
        for vcon in vcons:
            try:
                files[vcon.uuid] = self._new_file(vcon)
            except Permanent as refusal:
                failures[vcon.uuid] = refusal
        self._files.write(list(files.values()))
        for uuid, file in files.items():
            if file.error is not None:
                failures[uuid] = _mapped(file.error)
        return failures

    def _new_file(self, vcon: StoredVcon) -> NewFile:
        if len(vcon.document) > self._max_size:
            raise Permanent(f"larger than max_file_size {self._max_size}")
        uuid = uuid_in_path(vcon.uuid)
        folder, name = self._layout.place(uuid, vcon.created_at, time.time())
        content = gzip.compress(vcon.document, 6, mtime=0) if self._compression else vcon.document
        return NewFile(folder, name, content, partial(self._revisions.commit, uuid, vcon.rev))

    def _get(self, uuid: str) -> bytes | None:
        try:
            while path := self._layout.newest(uuid_in_path(uuid)):
                with contextlib.suppress(FileNotFoundError):  # replaced or deleted meanwhile
                    return _unpacked(path.read_bytes(), path)
            return None
        except OSError as error:
            raise _mapped(error) from error

    def _delete(self, uuid: str) -> bool:
        try:
            return self._files.remove(self._layout.find(uuid_in_path(uuid))) > 0
        except OSError as error:
            raise _mapped(error) from error

    def _ping(self) -> None:
        try:
            self._files.probe()
        except OSError as error:
            raise _mapped(error) from error


def _mapped(error: OSError) -> Retryable | Permanent:
    kind = Permanent if error.errno in _PERMANENT_ERRNO else Retryable
    return kind(f"{error.strerror or type(error).__name__}: {error.filename or 'file storage'}")


def _unpacked(content: bytes, path: Path) -> bytes:
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise Permanent(f"damaged file: {path}") from None


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def _mode(name: str, permissions: int | str, owner: int) -> int:
    """Return a file mode with these rights of the owner. Raises ValueError."""
    try:
        mode = int(permissions, 8) if isinstance(permissions, str) else permissions
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777 or permissions in _SLIPS:
        raise ValueError(f"{name} must be a mode such as 0o755 or '0755'")
    # Without its 0o, 755 is 0o1363: what is made with that cannot be used.
    if mode & owner != owner:
        raise ValueError(f"{name} must give its owner 0o{owner:o}: is an 0o missing?")
    return mode
