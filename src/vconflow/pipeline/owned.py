"""The tasks of the entries that this replica owns."""

import asyncio
from collections import Counter
from collections.abc import Collection, Coroutine
from typing import Any

from vconflow.pipeline.cancelling import cancel_all
from vconflow.pipeline.slots import HeldSlot

__all__ = ["Key", "OwnedEntries"]

Key = tuple[str, str]
"""The list and the id of an entry."""


class OwnedEntries:
    """One task an entry, once it has begun. `busy` are those that hold a slot.

    Before that it is expected, by a chain.
    """

    def __init__(self) -> None:
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._expected: dict[Key, str] = {}
        self._expecting: Counter[str] = Counter()
        self._dropped: set[Key] = set()
        self.busy: set[Key] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, key: Key) -> bool:
        return key in self._tasks or key in self._expected

    @property
    def keys(self) -> list[Key]:
        """All that have begun, in that order."""
        return list(self._tasks)

    def by_list(self) -> dict[str, list[str]]:
        """Entry ids by list."""
        owned: dict[str, list[str]] = {}
        for list_name, entry in (*self._tasks, *self._expected):
            owned.setdefault(list_name, []).append(entry)
        return owned

    def dropped(self, list_name: str) -> list[str]:
        """Entries of a list whose task ended by an error, and which still are under our name."""
        return [entry for name, entry in self._dropped if name == list_name]

    def expect(self, key: Key, chain: str) -> None:
        """Own an entry that a chain is still to begin."""
        self._expected[key] = chain
        self._expecting[chain] += 1

    def stop_expecting(self, key: Key) -> bool:
        """Whether it was expected; from now on it is not."""
        chain = self._expected.pop(key, None)
        if chain is None:
            return False
        self._expecting[chain] -= 1
        return True

    def expecting(self, chain: str) -> int:
        """How many entries the chain is still to begin."""
        return self._expecting[chain]

    @property
    def expected(self) -> Collection[Key]:
        """All that have not begun."""
        return self._expected.keys()

    def is_under_way(self, key: Key) -> bool:
        """Whether its task has not ended."""
        task = self._tasks.get(key)
        return task is not None and not task.done()

    def start(
        self, key: Key, work: Coroutine[Any, Any, None], slot: HeldSlot | None = None
    ) -> None:
        """Own an entry until its work ends, and end its slot then, if it has one already."""
        task = asyncio.create_task(work)
        self._tasks[key] = task
        self._dropped.discard(key)
        task.add_done_callback(lambda done: self._ended(key, slot, done))

    def cancel(self, key: Key) -> None:
        """Stop the work; the entry stays under our name."""
        self._tasks[key].cancel()

    def let_go(self, key: Key) -> None:
        """Stop the work on an entry that is not ours any more."""
        self._tasks.pop(key).cancel()

    async def wait(self, keys: list[Key], seconds: float) -> None:
        """Give these so long to end by themselves."""
        if keys:
            await asyncio.wait([self._tasks[key] for key in keys], timeout=seconds)

    async def cancel_all(self) -> None:
        """Stop whatever is left, and wait for it."""
        await cancel_all(list(self._tasks.values()))

    def _ended(self, key: Key, slot: HeldSlot | None, task: asyncio.Task[None]) -> None:
        if slot is not None:  # of one that was let go before it had begun
            slot.end()
        broke = task.cancelled() or task.exception() is not None
        if self._tasks.get(key, task) is task:
            self.busy.discard(key)
        # What was let go is not under our name any more.
        if self._tasks.get(key) is task:
            del self._tasks[key]
            if broke:
                self._dropped.add(key)
