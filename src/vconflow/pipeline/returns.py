"""Entries that are ours no longer because no chain here reads their list any more."""

import asyncio

from vconflow.ports.stream import EntryStream

__all__ = ["Returns"]


class Returns:
    """Gives entries up, so that whoever reads their list next takes them over at once.

    Until then they stay pending under our name, with the progress they had.
    """

    def __init__(self, stream: EntryStream) -> None:
        self._stream = stream
        self._entries: dict[str, dict[str, None]] = {}
        self._sending: dict[str, dict[str, None]] = {}
        self._lock = asyncio.Lock()

    def add(self, list_name: str, entry: str) -> None:
        """Give up an entry with the next `send`."""
        self._entries.setdefault(list_name, {})[entry] = None

    def take_back(self, list_name: str, entry: str) -> None:
        """It is worked on after all."""
        for entries in (self._entries, self._sending):
            entries.get(list_name, {}).pop(entry, None)

    async def send(self) -> None:
        """Give up what was added. Raises Unavailable; then the next call tries again.

        When it returns, no earlier call is under way either.
        """
        async with self._lock:
            self._sending, self._entries = self._entries, {}
            owned = {name: list(ids) for name, ids in self._sending.items() if ids}
            if not owned:
                return
            try:
                await self._stream.hand_over(owned)
            except BaseException:
                # Only the answer may be lost; what came back since then is worked on again.
                for name, ids in self._sending.items():
                    self._entries.setdefault(name, {}).update(ids)
                raise
