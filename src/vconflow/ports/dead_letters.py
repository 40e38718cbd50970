"""Entries that could not be processed, kept with the reason."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from vconflow.ports.ledger import Progress

__all__ = ["DeadLetter", "DeadLetters", "Extent"]


class DeadLetter(msgspec.Struct, frozen=True):
    """Why an entry is dead, and in `progress` where its replay goes on.

    Times are Unix milliseconds; `id` is unique within its list.
    """

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
    progress: Progress = Progress()
    trace: str = ""
    traceback: str = ""

    @property
    def next_link(self) -> str:
        """The link it goes on with; empty for the first one, and when only storages are left."""
        return self.progress.next_link if self.storages is None else ""

    @property
    def storages(self) -> tuple[str, ...] | None:
        """The storages that are left; None while links are."""
        return self.progress.storages


class Extent(msgspec.Struct, frozen=True):
    """How many dead letters a list has, and the id of the newest."""

    count: int
    newest: str


class DeadLetters(Protocol):
    """One dead-letter stream per list. Ids of a list grow with time."""

    async def browse(
        self, list_name: str, *, after: str, count: int, until: str = ""
    ) -> list[DeadLetter]:
        """Dead letters of a list, oldest first.

        From the one after id `after` ('' = first), up to and with id `until` ('' = last).
        """
        ...

    async def newest(self, list_name: str, count: int) -> list[DeadLetter]:
        """The last `count` dead letters of a list, the newest first."""
        ...

    async def find(self, list_name: str, ids: Sequence[str]) -> list[DeadLetter]:
        """Those of the dead letters that are there, in the order of `ids`."""
        ...

    async def lists(self) -> set[str]:
        """All lists with dead letters. Looks at every key: for rare use."""
        ...

    async def extents(self, lists: Sequence[str]) -> dict[str, Extent]:
        """What each list has; lists without dead letters are left out."""
        ...

    async def replay(self, list_name: str, ids: Sequence[str], *, from_start: bool = False) -> int:
        """Move dead letters back to their list, each atomically; how many were moved.

        Each goes on at the step that failed, or with `from_start` at the first link of its chain.
        One without a uuid stays: it never was an entry of ours, nothing could process it.
        """
        ...

    async def drop(self, list_name: str, ids: Sequence[str]) -> int:
        """Remove dead letters for good, and documents that nothing else keeps; how many."""
        ...

    async def expire(self, list_name: str, older_than: int, count: int) -> int:
        """Drop at most `count` dead letters from before a Unix millisecond; how many."""
        ...
