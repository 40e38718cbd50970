"""The data all replicas share."""

import asyncio

import msgspec

from vconflow.ports.clock import Clock
from vconflow.ports.history import HistoryRecord
from vconflow.testing.memory.expiring import Expiring
from vconflow.testing.memory.lists import DeadList, EntryList
from vconflow.testing.memory.vcons import VconTable

__all__ = ["Answered", "Store"]


class Answered(msgspec.Struct, frozen=True):
    """What became of a request with an idempotency key; not `final` while some of it is left."""

    fingerprint: str
    rev: int = 0
    found: tuple[bool, ...] = ()
    final: bool = True


class Store:
    """Lists, dead letters, vCons, and the names that replicas hold.

    Set `fail_with` to have every call raise, before it has done anything.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.vcons = VconTable(clock.now)
        self.histories: Expiring[list[HistoryRecord]] = Expiring(self.vcons.milliseconds)
        self.requests: Expiring[Answered] = Expiring(self.vcons.milliseconds)
        self.names: Expiring[object] = Expiring(self.vcons.milliseconds)
        self.lists: dict[str, EntryList] = {}
        self.dead: dict[str, DeadList] = {}
        self.readers: set[asyncio.Event] = set()
        self.fail_with: Exception | None = None

    def now(self) -> int:
        """Unix milliseconds."""
        return self.vcons.milliseconds()

    async def call(self) -> None:
        """Begin an operation: let others run, as a network would, and fail if told to."""
        await asyncio.sleep(0)
        if self.fail_with is not None:
            raise self.fail_with

    def list(self, name: str) -> EntryList:
        """The list of that name, which begins to exist by being named."""
        return self.lists.setdefault(name, EntryList(name))

    def dead_list(self, name: str) -> DeadList:
        """The dead letters of a list."""
        return self.dead.setdefault(name, DeadList())

    def append(
        self,
        list_name: str,
        uuid: str,
        *,
        origin: str,
        trace: str = "",
        progress: bytes = b"",
        egress: bool = False,
    ) -> None:
        """Put a vCon on a list and tell those who wait for one."""
        self.list(list_name).add(
            uuid, self.now(), origin=origin, trace=trace, progress=progress, egress=egress
        )
        for reader in self.readers:
            reader.set()
