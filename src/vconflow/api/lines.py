"""Splitting a stream of chunks into lines without ever holding more than one line."""

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Line", "Lines"]


class Line(NamedTuple):
    """One line that is not blank, numbered from 1. `text` is None for one that was too long."""

    number: int
    text: bytes | None


class Lines:
    """Collects lines of at most `limit` bytes; a longer one is dropped as it comes in."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._number = 0

    @property
    def size(self) -> int:
        """How much is held of the line that has not ended yet, in bytes."""
        return self._size if self._size <= self._limit else 0

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """Yield the lines that end in this chunk."""
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            self._hold(end)
            yield from self._take()
        self._hold(rest)

    def finish(self) -> Iterator[Line]:
        """Yield what came after the last line end."""
        yield from self._take()

    def _hold(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._limit:
            self._parts.clear()
        elif part:
            self._parts.append(part)

    def _take(self) -> Iterator[Line]:
        self._number += 1
        if self._size > self._limit:
            yield Line(self._number, None)
        elif text := b"".join(self._parts).strip():
            yield Line(self._number, text)
        self._parts.clear()
        self._size = 0
