"""The journal of a follower, in memory, and a server to follow."""

import asyncio
from collections.abc import Callable, Sequence

from vconflow.ports.follow import Handed, Handover, Parked

NAME = "upstream"
UUIDS = [f"00000000-0000-4000-8000-{number:012}" for number in range(40)]


class Journal:
    """In memory; raises what `failures` holds, one for each call that writes."""

    def __init__(self) -> None:
        self.entries: dict[Handed, float] = {}
        self.parked_ones: dict[str, Parked] = {}
        self.failures: list[Exception] = []
        self.has_turn = True
        self.released = False

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    async def hold(self, follower: str, seconds: float) -> bool:
        return self.has_turn

    async def release(self, follower: str) -> None:
        self.released = True

    async def add(self, follower: str, handed: Sequence[Handed], due: float) -> None:
        self._fail()
        for item in handed:
            self.entries.setdefault(item, due)

    async def due(self, follower: str, now: float, count: int) -> list[Handed]:
        return [item for item, due in self.entries.items() if due <= now][:count]

    async def postpone(self, follower: str, handed: Sequence[Handed], due: float) -> None:
        self.entries |= dict.fromkeys(handed, due)

    async def done(self, follower: str, handed: Sequence[Handed]) -> None:
        for item in handed:
            self.entries.pop(item)

    async def park(self, follower: str, parked: Sequence[Parked]) -> None:
        for item in parked:
            self.entries.pop(Handed(item.entry, item.uuid))
            self.parked_ones[item.uuid] = item

    async def waiting(self, follower: str) -> tuple[int, int]:
        return len(self.entries), len(self.parked_ones)

    async def parked(self, follower: str, count: int) -> list[Parked]:
        return list(self.parked_ones.values())[:count]

    async def unpark(self, follower: str, due: float) -> int:
        raise NotImplementedError


class Site:
    """The other side and our way in; `fetch` and `store` may fail for a uuid."""

    def __init__(self, journal: Journal) -> None:
        self.waiting = list(UUIDS)
        self.acknowledged: list[str] = []
        self.leases = False
        self.stopping = False
        self.pulls: list[int] = []
        self.stored: list[str] = []
        self.fetch: Callable[[str], bytes | None] = str.encode
        self.store: Callable[[str], None] = lambda uuid: None
        self.before_pull: Callable[[], None] = lambda: None
        self.answering = asyncio.Event()
        self.answering.set()
        self._journal = journal

    async def pull(self, limit: int) -> Handover:
        self.before_pull()
        self.pulls.append(limit)
        pulled, self.waiting = self.waiting[:limit], self.waiting[limit:]
        await self.answering.wait()
        handed = tuple(Handed(f"e{uuid[-3:]}", uuid) for uuid in pulled)
        return Handover(handed, tuple(pulled) if self.leases else ())

    async def acknowledge(self, receipts: Sequence[str]) -> None:
        written = {item.uuid for item in self._journal.entries}
        assert written >= set(receipts), "acknowledged before it was written down"
        self.acknowledged += receipts

    async def document(self, uuid: str) -> bytes | None:
        assert uuid in {item.uuid for item in self._journal.entries}, "fetched before written down"
        return self.fetch(uuid)

    async def accept(
        self,
        document: bytes,
        lists: tuple[str, ...] = (),
        *,
        source: str = "http",
        owner: str = "",
        expect_uuid: str | None = None,
        idempotency_key: str = "",
    ) -> object:
        uuid = document.decode()
        assert (lists, owner, expect_uuid) == (("in",), f"follower:{NAME}", uuid)
        assert idempotency_key == f"follow:{NAME}:e{uuid[-3:]}"
        self.store(uuid)
        self.stored.append(uuid)
        return None


def failing(error: Exception, *uuids: str) -> Callable[[str], bytes | None]:
    def fetch(uuid: str) -> bytes | None:
        if not uuids or uuid in uuids:
            raise error
        return uuid.encode()

    return fetch


def refusing(error: Exception, *uuids: str) -> Callable[[str], None]:
    def store(uuid: str) -> None:
        failing(error, *uuids)(uuid)

    return store
