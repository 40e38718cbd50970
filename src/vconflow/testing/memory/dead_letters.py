"""Entries that could not be processed (`ports/dead_letters.py`)."""

from collections.abc import Sequence
from itertools import islice

from vconflow.ports.dead_letters import DeadLetter
from vconflow.testing.memory.lists import Buried, id_order
from vconflow.testing.memory.store import Store

__all__ = ["MemoryDeadLetters"]


class MemoryDeadLetters:
    """Browse, replay and expire."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def browse(self, list_name: str, *, after: str, count: int) -> list[DeadLetter]:
        """See `DeadLetters.browse`."""
        await self._store.call()
        first = id_order(after or "0-0")
        letters = self._store.dead_list(list_name).letters.values()
        later = (held.letter for held in letters if id_order(held.letter.id) > first)
        return list(islice(later, count))

    async def replay(self, list_name: str, ids: Sequence[str]) -> int:
        """See `DeadLetters.replay`."""
        await self._store.call()
        letters = self._store.dead_list(list_name).letters
        moved = [letters.pop(name) for name in dict.fromkeys(ids) if name in letters]
        for held in moved:
            letter = held.letter
            meta = self._store.vcons.metas.get(letter.uuid)
            # A letter of an earlier life of the uuid was not counted in this one; its entry is.
            if meta is not None and meta.rev and not meta.deleted and not meta.counts(held.entry):
                meta.count("open", 1)
            self._store.append(
                list_name,
                letter.uuid,
                origin="replay",
                trace=letter.trace,
                progress=held.progress,
            )
        return len(moved)

    async def expire(self, list_name: str, older_than: int, count: int) -> int:
        """See `DeadLetters.expire`. Documents that nothing else keeps go with their letters."""
        await self._store.call()
        letters = self._store.dead_list(list_name).letters
        old = [name for name in letters if id_order(name) < (older_than, 0)]
        dropped = [letters.pop(name) for name in old[:count]]
        for held in dropped:
            self._let_go(held)
        return len(dropped)

    def _let_go(self, held: Buried) -> None:
        vcons, uuid = self._store.vcons, held.letter.uuid
        meta = vcons.metas.get(uuid)
        if meta is None or not meta.counts(held.entry):
            return
        # Only what failed dies with its dead letter, not a later revision that went through.
        if meta.count("open", -1) or meta.egress or meta.rev != held.rev or meta.rev == meta.done:
            return
        vcons.documents.pop(uuid)
        if meta.stored != meta.rev:
            vcons.unlist(uuid, meta.index)
            vcons.metas.pop(uuid)
