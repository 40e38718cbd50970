"""Entries that could not be processed (`ports/dead_letters.py`)."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import islice

from vconflow.ports.dead_letters import DeadLetter, Extent
from vconflow.ports.history import HistoryRecord
from vconflow.testing.memory.history import Journal
from vconflow.testing.memory.lists import Buried, id_order
from vconflow.testing.memory.store import Store
from vconflow.testing.memory.vcons import Expiries

__all__ = ["MemoryDeadLetters"]


class MemoryDeadLetters:
    """Browse, replay, drop and expire."""

    def __init__(self, store: Store, journal: Journal, expiries: Expiries) -> None:
        self._store = store
        self._journal = journal
        self._expiries = expiries

    async def browse(
        self, list_name: str, *, after: str, count: int, until: str = ""
    ) -> list[DeadLetter]:
        """See `DeadLetters.browse`."""
        await self._store.call()
        letters = self._store.dead_list(list_name).letters
        names = list(letters)
        low = bisect_right(names, id_order(after), key=id_order) if after else 0
        high = bisect_right(names, id_order(until), key=id_order) if until else len(names)
        return [letters[name].letter for name in names[low:high][:count]]

    async def newest(self, list_name: str, count: int) -> list[DeadLetter]:
        """See `DeadLetters.newest`."""
        await self._store.call()
        letters = self._store.dead_list(list_name).letters
        return [held.letter for held in islice(reversed(letters.values()), count)]

    async def find(self, list_name: str, ids: Sequence[str]) -> list[DeadLetter]:
        """See `DeadLetters.find`."""
        await self._store.call()
        letters = self._store.dead_list(list_name).letters
        return [letters[name].letter for name in dict.fromkeys(ids) if name in letters]

    async def lists(self) -> set[str]:
        """See `DeadLetters.lists`."""
        await self._store.call()
        return {name for name, dead in self._store.dead.items() if dead.letters}

    async def extents(self, lists: Sequence[str]) -> dict[str, Extent]:
        """See `DeadLetters.extents`."""
        await self._store.call()
        held = {name: self._store.dead_list(name).letters for name in lists}
        return {
            name: Extent(len(letters), next(reversed(letters)))
            for name, letters in held.items()
            if letters
        }

    async def replay(self, list_name: str, ids: Sequence[str], *, from_start: bool = False) -> int:
        """See `DeadLetters.replay`."""
        await self._store.call()
        moved = self._take(list_name, ids)
        for held in moved:
            letter = held.letter
            meta = self._store.vcons.metas.get(letter.uuid)
            # A letter of an earlier life of the uuid was not counted in this one; its entry is.
            if meta is not None and meta.rev and not meta.deleted and not meta.counts(held.entry):
                meta.count("open", 1)
                # This life may be over already, and its document about to go.
                self._store.vcons.documents.keep(letter.uuid)
                self._store.vcons.metas.keep(letter.uuid)
            self._store.append(
                list_name,
                letter.uuid,
                origin="replay",
                trace=letter.trace,
                # Of a deleted vCon there is nothing to begin anew.
                progress=held.progress if not from_start or letter.progress.deleted else b"",
            )
            self._journal.append(letter.uuid, HistoryRecord(kind="replayed", list=list_name))
        return len(moved)

    async def drop(self, list_name: str, ids: Sequence[str]) -> int:
        """See `DeadLetters.drop`."""
        await self._store.call()
        return self._drop(list_name, ids)

    async def expire(self, list_name: str, older_than: int, count: int) -> int:
        """See `DeadLetters.expire`."""
        await self._store.call()
        letters = self._store.dead_list(list_name).letters
        old = [name for name in letters if id_order(name) < (older_than, 0)]
        return self._drop(list_name, old[:count])

    def _take(self, list_name: str, ids: Sequence[str]) -> list[Buried]:
        letters = self._store.dead_list(list_name).letters
        return [letters.pop(name) for name in dict.fromkeys(ids) if name in letters]

    def _drop(self, list_name: str, ids: Sequence[str]) -> int:
        dropped = self._take(list_name, ids)
        for held in dropped:
            self._let_go(held)
        return len(dropped)

    def _let_go(self, held: Buried) -> None:
        vcons, uuid = self._store.vcons, held.letter.uuid
        meta = vcons.metas.get(uuid)
        if meta is None or not meta.counts(held.entry):
            return
        meta.count("open", -1)
        # Only what failed dies with its dead letter: nothing later, and nothing that a chain was
        # through with before another changed it and failed, unless a storage has this revision.
        is_kept = meta.done or meta.stored not in (0, meta.rev)
        if meta.open or meta.egress or meta.rev != held.rev or is_kept:
            vcons.let_expire(uuid, meta, self._expiries)
            return
        vcons.documents.pop(uuid)
        if not meta.stored:
            vcons.unlist(uuid, meta.index)
            vcons.metas.pop(uuid)
