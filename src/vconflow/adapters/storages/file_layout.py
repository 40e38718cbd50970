"""Where the files of the file storage are: names, folders by date, and finding them again."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vconflow.adapters.storages.places import folder_of

__all__ = ["Layout"]

_YEAR = re.compile(r"\d{4}")
_MONTH_OR_DAY = re.compile(r"\d\d")
_STAMP = r"(?:_\d{8}T\d{12}Z)?"


@dataclass(frozen=True)
class Layout:
    """How files are named. `prefix` stands before the uuid; `compressed` adds `.gz`.

    Every method expects a canonical uuid: that is what keeps paths below `root`. Files written
    under other settings of `by_date` and `compressed` are found too.
    """

    root: Path
    by_date: bool
    prefix: str
    extension: str
    compressed: bool
    stamped: bool

    def place(self, uuid: str, created_at: float, now: float) -> tuple[str, str]:
        """Return the folder, relative to the root, and the name of a vCon; times are Unix seconds.

        A vCon that does not say when it was made (`created_at` 0) goes right below the root.
        """
        stamp = f"_{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%S%fZ}" if self.stamped else ""
        name = f"{self.prefix}{uuid}{stamp}.{self.extension}"
        return (folder_of(created_at) if self.by_date else ""), (
            f"{name}.gz" if self.compressed else name
        )

    def find(self, uuid: str) -> list[Path]:
        """Return every file of a vCon, the newest first. Raises OSError when the root is away."""
        return _newest_first(self._files(uuid, self._folders()))

    def newest(self, uuid: str) -> Path | None:
        """Return the file last written. Raises OSError when the root is away."""
        found: list[Path] = []
        if not self.by_date and not self.stamped:
            # The root may hold millions of files: look for this one before listing them.
            found = _newest_first(self._files(uuid, [str(self.root)]))
        return next(iter(found or self.find(uuid)), None)

    def _folders(self) -> Iterator[str]:
        """Yield the root and the folder of every day: a few hundred a year."""
        root = str(self.root)
        years = [entry.path for entry in os.scandir(root) if _YEAR.fullmatch(entry.name)]
        yield root
        for year in years:
            for month in _folders_of(year):
                yield from _folders_of(month)

    def _files(self, uuid: str, folders: "Iterator[str] | list[str]") -> Iterator[tuple[int, str]]:
        """Yield time of writing and path."""
        look = self._listed if self.stamped else self._guessed
        for folder in folders:
            for path in look(uuid, folder):
                try:
                    yield os.stat(path).st_mtime_ns, path
                except FileNotFoundError:
                    continue

    def _guessed(self, uuid: str, folder: str) -> list[str]:
        """Return the paths it may have, which costs no listing of files."""
        plain = f"{folder}{os.sep}{self.prefix}{uuid}.{self.extension}"
        return [plain, f"{plain}.gz"]

    def _listed(self, uuid: str, folder: str) -> list[str]:
        start, end = re.escape(self.prefix + uuid), re.escape(self.extension)
        name = re.compile(f"{start}{_STAMP}[.]{end}(?:[.]gz)?")
        return [entry.path for entry in _entries(folder) if name.fullmatch(entry.name)]


def _newest_first(files: Iterator[tuple[int, str]]) -> list[Path]:
    return [Path(path) for _, path in sorted(files, reverse=True)]


def _folders_of(folder: str) -> list[str]:
    return [entry.path for entry in _entries(folder) if _MONTH_OR_DAY.fullmatch(entry.name)]


def _entries(folder: str) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
