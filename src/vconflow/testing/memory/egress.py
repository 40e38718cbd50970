"""Handing vCons out of lists to clients that pull (`ports/egress.py`)."""

from collections.abc import Sequence

from vconflow.model.entry import Entry
from vconflow.testing.memory.lists import EntryList
from vconflow.testing.memory.store import Store

__all__ = ["MemoryEgress"]

_CONSUMER = "http"
"""All replicas pop under one name: a popped entry belongs to the request, not to a replica."""


class MemoryEgress:
    """Popping with a lease of `lease` milliseconds."""

    def __init__(self, store: Store, lease: int) -> None:
        self._store = store
        self._lease = lease

    async def lease(self, list_name: str, count: int) -> list[Entry]:
        """See `EgressLists.lease`. What came back is older than what is new, so it goes first."""
        await self._store.call()
        entry_list, now = self._list(list_name), self._store.now()
        again = entry_list.overdue(self._lease, count, now)
        for held in again:
            held.give_to(_CONSUMER, now)
        new = entry_list.take(_CONSUMER, count - len(again), now)
        return [*(held.entry for held in again), *new]

    async def ack(self, list_name: str, entries: Sequence[Entry]) -> int:
        """See `EgressLists.ack`."""
        await self._store.call()
        removed = [entry for entry in entries if self._list(list_name).pending.pop(entry.id, None)]
        for entry in removed:
            self._store.vcons.release(entry.uuid, entry.counted, entry.id)
        return len(removed)

    async def give_back(self, list_name: str, entries: Sequence[Entry]) -> None:
        """See `EgressLists.give_back`."""
        await self._store.call()
        for entry in entries:
            held = self._list(list_name).pending.get(entry.id)
            if held is not None:
                held.give_to(_CONSUMER, self._store.now() - self._lease - 1)

    async def depth(self, list_name: str) -> int:
        """See `EgressLists.depth`."""
        await self._store.call()
        entry_list = self._list(list_name)
        # Those whose lease has ended are there to be taken again.
        returned = entry_list.overdue(self._lease, len(entry_list.pending), self._store.now())
        return len(entry_list.waiting) + len(returned)

    def _list(self, name: str) -> EntryList:
        # Clients ask for any name they like: what is not there is not made.
        return self._store.lists.get(name) or EntryList(name)
