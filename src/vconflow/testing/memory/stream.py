"""Reading lists with leases (`ports/stream.py`)."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from itertools import islice

from vconflow.model.entry import Entry
from vconflow.ports.stream import Displaced, ListDepth, ReadRequest, Resumed
from vconflow.testing.memory.lists import CLIENTS, DeadList, EntryList, id_order
from vconflow.testing.memory.names import HeldName
from vconflow.testing.memory.store import Store

__all__ = ["MemoryStream"]


class MemoryStream:
    """One replica's view of the lists. `lease` is in milliseconds."""

    def __init__(self, store: Store, name: HeldName, lease: int) -> None:
        self._store = store
        self._name = name
        self._lease = lease
        self._bell = asyncio.Event()
        self._woken = False

    @property
    def consumer(self) -> str:
        """See `EntryStream.consumer`."""
        return self._name.name

    async def ensure(self, lists: Sequence[str]) -> None:
        """See `EntryStream.ensure`."""
        await self._store.call()
        for name in lists:
            self._store.list(name)

    async def read(self, requests: Sequence[ReadRequest], total: int, block: float) -> list[Entry]:
        """See `EntryStream.read`. Waits on the server's clock; not at all for a `block` of 0."""
        self._woken = False
        await self._store.call()
        entries = self._take(requests, total)
        return entries if entries or block <= 0 else await self._wait(requests, total, block)

    async def _wait(self, requests: Sequence[ReadRequest], total: int, block: float) -> list[Entry]:
        timer = asyncio.create_task(self._store.clock.sleep(block))
        timer.add_done_callback(lambda _: self._bell.set())
        self._store.readers.add(self._bell)
        try:
            while not self._woken and not timer.done():
                self._bell.clear()
                await self._bell.wait()
                if entries := self._take(requests, total):
                    return entries
            return []
        finally:
            self._store.readers.discard(self._bell)
            timer.cancel()

    def _take(self, requests: Sequence[ReadRequest], total: int) -> list[Entry]:
        taken: list[Entry] = []
        for request in requests:
            taken += self._serve(request, min(request.budget, total - len(taken)))
        return taken

    def _serve(self, request: ReadRequest, budget: int) -> list[Entry]:
        """Take an equal share of each list, so that a long one does not starve the others; what
        those leave goes to the long ones.
        """
        taken: list[Entry] = []
        share = max(1, budget // len(request.lists))
        for most in (share, budget):
            for name in request.lists:
                count = min(most, budget - len(taken))
                taken += self._store.list(name).take(self.consumer, count, self._store.now())
        return taken

    async def wake(self) -> None:
        """See `EntryStream.wake`."""
        await self._store.call()
        self._woken = True
        self._bell.set()

    async def left(self, lists: Sequence[str], *, own: bool = False) -> list[str]:
        """See `EntryStream.left`."""
        await self._store.call()
        now = self._store.now()

        def has_some(name: str) -> bool:
            held = self._store.list(name)
            return any(held.all_of(self.consumer) if own else held.overdue(self._lease, 1, now))

        return [name for name in lists if has_some(name)]

    async def recover(self, list_name: str, after: str, count: int) -> list[Resumed]:
        """See `EntryStream.recover`. Whoever recovers an entry begins a new lease of it."""
        await self._store.call()
        now, first = self._store.now(), id_order(after or "0-0")
        own = self._store.list(list_name).all_of(self.consumer)
        later = [held for held in own if id_order(held.entry.id) > first][:count]
        for held in later:
            held.crash(silent_since=held.renewed)
            held.give_to(self.consumer, now)
        return [held.resume() for held in later]

    async def take_over(
        self, list_name: str, count: int, dropped: Collection[str] = ()
    ) -> list[Resumed]:
        """See `EntryStream.take_over`."""
        await self._store.call()
        now = self._store.now()
        overdue = self._store.list(list_name).overdue(self._lease, count, now)
        for held in overdue:
            # What clients had on lease, and what we were never told of, nobody has worked on.
            if held.owner not in (CLIENTS, self.consumer) or held.entry.id in dropped:
                held.crash(silent_since=held.renewed)
            held.give_to(self.consumer, now)
        return [held.resume() for held in overdue]

    async def renew(self, owned: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
        """See `EntryStream.renew`."""
        await self._store.call()
        if not self._name.renew():
            raise Displaced(f"another replica holds the name {self.consumer!r}")
        lost: list[tuple[str, str]] = []
        for name, ids in owned.items():
            for entry_id in ids:
                held = self._store.list(name).owned(entry_id, self.consumer)
                if held is None:
                    lost.append((name, entry_id))
                else:
                    held.renewed = self._store.now()
        return lost

    async def hand_over(self, owned: Mapping[str, Sequence[str]]) -> None:
        """See `EntryStream.hand_over`. They did not crash: their records say so."""
        await self._store.call()
        if self._name.displaced:
            return  # under our name these are another replica's entries by now
        now = self._store.now()
        for name, ids in owned.items():
            for entry_id in ids:
                held = self._store.list(name).owned(entry_id, self.consumer)
                if held is not None:
                    held.due = max(held.due, now)
                    held.renewed = now - self._lease - 1

    async def reap(self, lists: Sequence[str]) -> None:
        """See `EntryStream.reap`."""
        await self._store.call()
        for name in lists:
            entry_list = self._store.list(name)
            for consumer in entry_list.consumers - {self.consumer}:
                idle = not any(islice(entry_list.all_of(consumer), 1))
                if idle and self._store.names.get(consumer) is None:
                    entry_list.consumers.discard(consumer)

    async def depth(self, lists: Sequence[str]) -> dict[str, ListDepth]:
        """See `EntryStream.depth`."""
        await self._store.call()
        return {name: self._depth(name) for name in lists}

    def _depth(self, name: str) -> ListDepth:
        # Measured, not made: a list that nobody has used stays unknown.
        entry_list = self._store.lists.get(name) or EntryList(name)
        dead = self._store.dead.get(name) or DeadList()
        oldest = 0.0
        if entry_list.oldest:
            oldest = max(0.0, (self._store.now() - id_order(entry_list.oldest)[0]) / 1000)
        return ListDepth(
            len(entry_list.waiting), len(entry_list.pending), len(dead.letters), oldest
        )
