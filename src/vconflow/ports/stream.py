"""Reading lists with leases."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from vconflow.model.entry import Entry
from vconflow.ports.ledger import Progress

__all__ = ["Displaced", "EntryStream", "ListDepth", "ReadRequest", "Resumed"]


class Displaced(Exception):
    """Another replica holds our name: nothing is ours any more, and this one has to stop."""


class ReadRequest(msgspec.Struct, frozen=True):
    """The lists of one chain in the order to look at them, and how many entries it can take."""

    lists: tuple[str, ...]
    budget: int


class Resumed(msgspec.Struct, frozen=True):
    """An entry that was begun before: by a dead replica or by an earlier life of this one."""

    entry: Entry
    progress: Progress


class ListDepth(msgspec.Struct, frozen=True):
    """How full a list is. `oldest` is the age in seconds of its oldest unfinished entry."""

    waiting: int
    pending: int
    dead: int
    oldest: float = 0.0


class EntryStream(Protocol):
    """A replica's view of the lists: it owns what it reads until it commits or loses the lease."""

    @property
    def consumer(self) -> str:
        """The name this replica holds in the consumer groups."""
        ...

    async def ensure(self, lists: Sequence[str]) -> None:
        """Make sure that every list has its consumer group, starting at its first entry."""
        ...

    async def read(self, requests: Sequence[ReadRequest], total: int, block: float) -> list[Entry]:
        """New entries: of each request at most its budget, of all together at most `total`.

        Waits up to `block` seconds for the first. Never cancel it: entries already handed out by
        the server would be lost until their lease ends. Call `wake` instead.
        """
        ...

    async def wake(self) -> None:
        """Make a `read` that waits return at once."""
        ...

    async def left(self, lists: Sequence[str], *, own: bool = False) -> list[str]:
        """Which of the lists have something to `recover`, if `own`, or else to `take_over`.

        Perhaps some more, never fewer: of very many lists, each is not to be asked for itself.
        """
        ...

    async def recover(self, list_name: str, after: str, count: int) -> list[Resumed]:
        """Entries this consumer name already owns, in order, from the one after id `after`."""
        ...

    async def take_over(
        self, list_name: str, count: int, dropped: Collection[str] = ()
    ) -> list[Resumed]:
        """Claim entries whose owner has not renewed its lease (XCLAIM).

        What clients have on lease, from before a chain read the list, is theirs until that ends.

        Entries under our own name that are not in `dropped` (begun here, and abandoned by an
        error) never reached us: the answer to a read was lost. That is no crash.
        """
        ...

    async def renew(self, owned: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
        """Renew the leases of entry ids by list; return the (list, id) that are not ours now.

        Also renews the hold on the consumer name; raises `Displaced` when another replica has it.
        """
        ...

    async def hand_over(self, owned: Mapping[str, Sequence[str]]) -> None:
        """Give up entries at once so that another replica takes them over now."""
        ...

    async def reap(self, lists: Sequence[str]) -> None:
        """Remove the names of replicas that are gone and own nothing."""
        ...

    async def depth(self, lists: Sequence[str]) -> dict[str, ListDepth]:
        """How full each list is."""
        ...
