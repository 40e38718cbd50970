"""Handing vCons out of a list to clients that pull."""

from collections.abc import Sequence
from typing import Final, Protocol

from vconflow.model.entry import Entry

__all__ = ["LONGEST_LEASE", "EgressLists"]

LONGEST_LEASE: Final = 86_400
"""Seconds that a lease lasts at most."""


class EgressLists(Protocol):
    """Popping with a lease: an entry comes back unless it is acknowledged in time.

    A lease is fenced: once an entry was handed out again, nothing that is done under an earlier
    lease of it has an effect. Until then a lease that has ended still counts.
    """

    async def lease(self, list_name: str, count: int, seconds: float | None = None) -> list[Entry]:
        """Hand entries to this caller for `seconds`, or for the common lease.

        What came back goes before what is new; each of both is in order. `find` takes the
        `lease_id` of these entries.
        """
        ...

    async def find(self, list_name: str, lease_ids: Sequence[str]) -> list[Entry]:
        """The entries of these leases that are still in the list, whoever has them now."""
        ...

    async def ack(self, list_name: str, entries: Sequence[Entry]) -> list[str]:
        """Remove leased entries for good; the ids of those leases that still counted."""
        ...

    async def give_back(self, list_name: str, entries: Sequence[Entry]) -> list[str]:
        """Make leased entries available again at once; the ids as of `ack`."""
        ...

    async def extend(self, list_name: str, entries: Sequence[Entry], seconds: float) -> list[str]:
        """Let leases end `seconds` from now; the ids as of `ack`."""
        ...

    async def depth(self, list_name: str) -> int:
        """How many entries the list holds that nobody has now."""
        ...
