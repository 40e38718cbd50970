"""Replaying and purging dead letters of any number, step by step."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console

from vconflow.cli.progress import counting
from vconflow.client import DeadLetterRequests, PassStep

__all__ = ["Done", "Step", "purge_ids", "run_pass"]

_STEP: Final = 1_000

Step = Callable[[int, str | None], Awaitable[PassStep]]
"""Makes one request for at most so many letters, from a cursor on."""


@dataclass
class Done:
    """How many letters were `verb` (`replayed`, `purged`) so far, of how many looked at."""

    verb: str
    moved: int = 0
    scanned: int = 0

    def count(self, moved: int, scanned: int) -> None:
        """Add."""
        self.moved += moved
        self.scanned += scanned

    def __str__(self) -> str:
        return f"{self.verb} {self.moved} of {self.scanned}"


async def run_pass(step: Step, limit: int | None, done: Done, console: Console) -> None:
    """Make steps until the pass is at its end, or `limit` letters were moved.

    Raises GaveUp or Rejected; `done` then says how far it came.
    """
    # The first request moves nothing. It fixes the end, so that repeating the others, should their
    # answers be lost, never takes what died meanwhile.
    begun = await step(0, None)
    cursor = begun.cursor
    with counting(begun.total, done.verb, console) as counter:
        while cursor is not None and (limit is None or done.moved < limit):
            size = _STEP if limit is None else min(limit - done.moved, _STEP)
            result = await step(size, cursor)
            cursor = result.cursor
            done.count(result.moved, result.scanned)
            counter.add(result.scanned, result.moved)


async def purge_ids(letters: DeadLetterRequests, ids: Sequence[str], done: Done) -> None:
    """Drop these letters one by one."""
    for letter_id in ids:
        done.count(int(await letters.drop(letter_id)), 1)
