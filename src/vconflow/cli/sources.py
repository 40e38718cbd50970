"""Finding vCons in files and folders, and reading them in flat memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["Found", "Source", "find", "read"]

LONGEST: Final = 256 * 1024 * 1024
"""Bytes of one vCon. A larger one is not even read: no server of ours takes it."""

_WHOLE: Final = frozenset({".json", ".vcon"})
_LINES: Final = frozenset({".ndjson", ".jsonl"})


class Source(NamedTuple):
    """A file with vCons: one, or one on each line."""

    path: Path
    size: int

    @property
    def is_lines(self) -> bool:
        """Whether every line is a vCon of its own."""
        return self.path.suffix.lower() in _LINES


class Found(NamedTuple):
    """A vCon as it was read, or why it was not.

    `place` is `file` or `file:line`; `size` is how many bytes of the file it took.
    """

    place: str
    document: bytes
    size: int
    problem: str = ""


def find(paths: Sequence[Path]) -> list[Source]:
    """Return the files to read: those named, and in folders those with a known ending, sorted.

    Raises OSError for a path that cannot be read.
    """
    return [Source(file, file.stat().st_size) for path in paths for file in _files(path)]


def read(sources: Sequence[Source]) -> Iterator[Found]:
    """Yield the vCons of all files, in order, one at a time."""
    for source in sources:
        yield from _lines(source) if source.is_lines else _whole(source)


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    found = (file for file in path.rglob("*") if file.suffix.lower() in _WHOLE | _LINES)
    yield from sorted(file for file in found if file.is_file())


def _whole(source: Source) -> Iterator[Found]:
    place = str(source.path)
    if source.size > LONGEST:
        yield Found(place, b"", source.size, _too_long())
        return
    try:
        yield Found(place, source.path.read_bytes(), source.size)
    except OSError as error:
        yield Found(place, b"", source.size, _unreadable(error))


def _lines(source: Source) -> Iterator[Found]:
    number = 0
    try:
        with source.path.open("rb") as file:
            while line := file.readline(LONGEST + 1):
                number += 1
                size = len(line)
                problem = ""
                if size > LONGEST:
                    problem = _too_long()
                    while not line.endswith(b"\n") and (line := file.readline(LONGEST)):
                        size += len(line)
                    line = b""
                elif not (line := line.strip()):
                    continue
                yield Found(f"{source.path}:{number}", line, size, problem)
    except OSError as error:
        yield Found(f"{source.path}:{number + 1}", b"", 0, _unreadable(error))


def _too_long() -> str:
    return f"longer than {LONGEST} bytes"


def _unreadable(error: OSError) -> str:
    return f"cannot be read: {error.strerror}"
