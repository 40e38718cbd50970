"""Handing vCons out of a list to clients that pull."""

from collections.abc import Sequence
from typing import Protocol

from vconflow.model.entry import Entry

__all__ = ["EgressLists"]


class EgressLists(Protocol):
    """Popping with a lease: an entry comes back unless it is acknowledged in time."""

    async def lease(self, list_name: str, count: int) -> list[Entry]:
        """The oldest entries, in order, leased to this caller."""
        ...

    async def ack(self, list_name: str, entries: Sequence[Entry]) -> int:
        """Remove leased entries for good; how many were still leased."""
        ...

    async def give_back(self, list_name: str, entries: Sequence[Entry]) -> None:
        """Make leased entries available again at once."""
        ...

    async def depth(self, list_name: str) -> int:
        """How many entries the list holds that nobody has taken yet."""
        ...
