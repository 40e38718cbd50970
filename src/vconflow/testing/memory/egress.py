"""Handing vCons out of lists to clients that pull (`ports/egress.py`)."""

from collections.abc import Sequence

import msgspec

from vconflow.model.entry import Entry, split_lease_id
from vconflow.ports.history import HistoryRecord
from vconflow.testing.memory.history import Journal
from vconflow.testing.memory.lists import CLIENTS, EntryList, Pending
from vconflow.testing.memory.store import Store
from vconflow.testing.memory.vcons import Expiries

__all__ = ["MemoryEgress"]


class MemoryEgress:
    """Popping with a lease of `lease` milliseconds, unless another is asked for."""

    def __init__(self, store: Store, journal: Journal, expiries: Expiries, lease: int) -> None:
        self._store = store
        self._journal = journal
        self._expiries = expiries
        self._lease = lease

    async def lease(self, list_name: str, count: int, seconds: float | None = None) -> list[Entry]:
        """See `EgressLists.lease`."""
        await self._store.call()
        entry_list, now = self._list(list_name), self._store.now()
        until = now + (self._lease if seconds is None else int(seconds * 1000))
        found = entry_list.ended(count, now)
        new = entry_list.take(CLIENTS, count - len(found), now)
        found += [entry_list.pending[entry.id] for entry in new]
        found += self._abandoned(entry_list, count - len(found))
        return [held.hand_out(now, until) for held in found]

    def _abandoned(self, entry_list: EntryList, count: int) -> list[Pending]:
        """Entries of replicas that died while the list still fed a chain."""
        silent = entry_list.overdue(self._lease, len(entry_list.pending), self._store.now())
        return [held for held in silent if held.owner != CLIENTS][: max(0, count)]

    async def find(self, list_name: str, lease_ids: Sequence[str]) -> list[Entry]:
        """See `EgressLists.find`."""
        await self._store.call()
        entry_list = self._list(list_name)
        found = []
        for entry_id, turn in map(split_lease_id, dict.fromkeys(lease_ids)):
            held = entry_list.pending.get(entry_id)
            entry = held.entry if held else entry_list.waiting.get(entry_id)
            if entry is not None:
                found.append(msgspec.structs.replace(entry, turn=turn))
        return found

    async def ack(self, list_name: str, entries: Sequence[Entry]) -> list[str]:
        """See `EgressLists.ack`."""
        await self._store.call()
        removed = []
        for entry in entries:
            if self._held(list_name, entry):
                del self._list(list_name).pending[entry.id]
                meta = self._store.vcons.release(entry.uuid, entry.counted, entry.id)
                if meta is not None and not entry.egress:
                    # It was put on the list for a chain, and kept its document until now.
                    self._store.vcons.let_expire(entry.uuid, meta, self._expiries)
                record = HistoryRecord(kind="handed-out", list=list_name)
                self._journal.append(entry.uuid, record)
                removed.append(entry.lease_id)
        return removed

    async def give_back(self, list_name: str, entries: Sequence[Entry]) -> list[str]:
        """See `EgressLists.give_back`."""
        return await self._hold(list_name, entries, 0)

    async def extend(self, list_name: str, entries: Sequence[Entry], seconds: float) -> list[str]:
        """See `EgressLists.extend`."""
        return await self._hold(list_name, entries, int(seconds * 1000))

    async def _hold(self, list_name: str, entries: Sequence[Entry], left: int) -> list[str]:
        await self._store.call()
        held = []
        for entry in entries:
            if pending := self._held(list_name, entry):
                pending.lent_until = self._store.now() + left
                held.append(entry.lease_id)
        return held

    async def depth(self, list_name: str) -> int:
        """See `EgressLists.depth`."""
        await self._store.call()
        entry_list = self._list(list_name)
        ended = entry_list.ended(len(entry_list.pending), self._store.now())
        return len(entry_list.waiting) + len(ended)

    def _held(self, list_name: str, entry: Entry) -> Pending | None:
        pending = self._list(list_name).pending.get(entry.id)
        fits = pending and (pending.owner, pending.entry.turn) == (CLIENTS, entry.turn)
        return pending if fits else None

    def _list(self, name: str) -> EntryList:
        # Clients ask for any name they like: what is not there is not made.
        return self._store.lists.get(name) or EntryList(name)
