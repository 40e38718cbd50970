"""Entries that could not be processed, kept with the reason."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

__all__ = ["DeadLetter", "DeadLetters"]


class DeadLetter(msgspec.Struct, frozen=True):
    """Why an entry is dead. Times are Unix milliseconds; `id` is unique within its list."""

    id: str
    list: str
    uuid: str
    chain: str
    stage: str
    error_type: str
    error: str
    attempts: int
    first_failure: int
    last_failure: int
    at: int
    origin: str = ""
    next_link: str = ""
    storages: tuple[str, ...] | None = None
    trace: str = ""
    traceback: str = ""


class DeadLetters(Protocol):
    """One dead-letter stream per list."""

    async def browse(self, list_name: str, *, after: str, count: int) -> list[DeadLetter]:
        """Dead letters of a list, oldest first, from the one after id `after` ('' = first)."""
        ...

    async def replay(self, list_name: str, ids: Sequence[str]) -> int:
        """Move dead letters back to their list, each atomically; how many were moved."""
        ...

    async def expire(self, list_name: str, older_than: int, count: int) -> int:
        """Drop at most `count` dead letters from before a Unix millisecond; how many."""
        ...
