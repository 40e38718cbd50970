"""What happened to vCons (`ports/history.py`)."""

from collections.abc import Sequence

import msgspec

from vconflow.ports.history import HistoryRecord
from vconflow.testing.memory.store import Store

__all__ = ["Journal", "MemoryHistory"]

_MOST = 100


class Journal:
    """Appends records. `expiry` is in milliseconds; 0 keeps no history."""

    def __init__(self, store: Store, replica: str, expiry: int) -> None:
        self._replica = replica
        self._store = store
        self._expiry = expiry

    def append(self, uuid: str, record: HistoryRecord) -> None:
        """Remember a record for a while: the first one of a vCon, and the newest."""
        if not self._expiry:
            return
        at, histories = self._store.now(), self._store.histories
        records = histories.setdefault(uuid, list)
        records.append(msgspec.structs.replace(record, at=at, uuid=uuid, replica=self._replica))
        if len(records) > _MOST:
            del records[1]
        histories.end_in(uuid, self._expiry)


class MemoryHistory:
    """Reads the history of vCons."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of(self, uuid: str) -> Sequence[HistoryRecord]:
        """See `History.of`."""
        await self._store.call()
        return list(self._store.histories.get(uuid) or ())
