"""The entries this replica owns: one task for each, from its first read to its ack."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass

from vconflow.errors import Unavailable
from vconflow.model.entry import Entry
from vconflow.pipeline.ahead import MOST, Ahead, Pace
from vconflow.pipeline.breaker import Breakers
from vconflow.pipeline.chain import Chain
from vconflow.pipeline.commits import Commits
from vconflow.pipeline.generation import Generation
from vconflow.pipeline.outage import Outage
from vconflow.pipeline.owned import Key, OwnedEntries
from vconflow.pipeline.processor import Done, Waiting
from vconflow.pipeline.rates import Rates
from vconflow.pipeline.returns import Returns
from vconflow.pipeline.room import Room
from vconflow.pipeline.slots import HeldSlot, Slots
from vconflow.pipeline.suspects import Suspects
from vconflow.pipeline.waiting_room import WaitingRoom
from vconflow.ports.clock import Clock
from vconflow.ports.documents import Document
from vconflow.ports.ledger import Progress, decode_progress
from vconflow.ports.stream import EntryStream, Resumed
from vconflow.telemetry import events

__all__ = ["Consumer", "Limits"]

_FINISHED = frozenset({"completed", "halted"})


@dataclass(frozen=True)
class Limits:
    """`total` slots; per chain `waiting` for a retry before reading stops.

    So many `crashes` end an entry. Besides, up to 256 entries are read ahead, and per chain as many
    as it has slots are on their way out.
    """

    total: int = 1024
    waiting: int = 10_000
    crashes: int = 3


class Consumer:
    """One task per entry, within the limits of its chain. What is read ahead has none yet.

    An entry is owned from the moment it is read until it is acknowledged, lost, or given back since
    no chain here reads its list any more. While it rests it holds no slot and no document. Each
    attempt is made by the generation that is in force when it begins. Assign `on_free` to be told
    when there is room again.
    """

    def __init__(
        self,
        current: Callable[[], Generation],
        stream: EntryStream,
        commits: Commits,
        clock: Clock,
        limits: Limits,
        breakers: Breakers,
        outage: Outage,
    ) -> None:
        self._current = current
        self._stream = stream
        self._commits = commits
        self._outage = outage
        self._slots = Slots(limits.total, self._freed)
        self._resting = WaitingRoom(clock, breakers, limits.waiting, self._freed)
        self._suspects = Suspects(limits.crashes)
        self._owned = OwnedEntries()
        self._ahead = Ahead(clock.monotonic)
        self.rates = Rates()
        self._pace = Pace(self.rates.total, clock.monotonic)
        self._room = Room(
            current,
            self._slots,
            self._resting,
            self._suspects,
            breakers,
            self._pace.of,
            self._owned.expecting,
        )
        self._returns = Returns(stream)
        self._stopping = False
        self._will_look = False
        self._retired: list[Key] = []
        self._left: dict[str, list[str]] = {}
        self.on_free: Callable[[], None] = lambda: None

    # What others may know

    def inflight(self, chain: str) -> int:
        """Entries of the chain that are being worked on."""
        return self._slots.used(chain)

    def waiting(self, chain: str) -> int:
        """Entries of the chain that wait for a retry or for a breaker."""
        return self._resting.count(chain)

    def owned(self) -> dict[str, list[str]]:
        """Entry ids by list."""
        return self._owned.by_list()

    def dropped(self, list_name: str) -> list[str]:
        """Entries of a list whose task ended by an error, and which still are under our name."""
        return self._owned.dropped(list_name)

    @property
    def free(self) -> int:
        """How many more entries of all chains together this replica could take, or read ahead."""
        return max(0, self._slots.free + MOST - len(self._owned.expected))

    def room(self, list_name: str) -> int:
        """How many more entries of a list this replica could take."""
        return 0 if self._stopping else self._room.to_read(list_name)

    def expecting(self, chain: str) -> int:
        """How many entries of the chain were read and are not begun yet."""
        return self._owned.expecting(chain)

    def claimable(self, list_name: str) -> int:
        """How many entries of dead replicas to claim: they queue for a slot, before new ones."""
        return 0 if self._stopping else self._room.to_claim(list_name)

    def pause(self, chains: frozenset[str]) -> None:
        """Take nothing new of these chains, and of these only."""
        self._room.paused = chains
        self._freed()

    def _freed(self) -> None:
        # A batch frees many places, one after the other: they are looked at together.
        if not self._will_look:
            self._will_look = True
            asyncio.get_running_loop().call_soon(self._look)
            self.on_free()  # who reads need not wait for those that begin then

    def _look(self) -> None:
        self._will_look = False
        if not self._stopping:
            for name in self._ahead.chains:
                self._catch_up(name)
        self.on_free()

    # Owning

    def expect(self, entries: Iterable[Entry]) -> None:
        """Own entries that were just read, before their documents are there."""
        for entry in entries:
            chain = self._current().runs(entry.list)
            self._owned.expect((entry.list, entry.id), "" if chain is None else chain.name)

    def begin(self, entries: Iterable[Entry], found: Mapping[str, Document]) -> None:
        """Work on entries that were expected, or have them wait for a slot.

        `found` are documents of theirs, by uuid.
        """
        for entry in entries:
            self._begin_or_wait(entry, found.get(entry.uuid))
        self.on_free()  # less is expected than before

    def _begin_or_wait(self, entry: Entry, found: Document | None) -> None:
        chain = self._current().runs(entry.list)
        if chain is not None and (self._ahead.has(chain.name) or not self._has_slot(chain)):
            self._ahead.add(chain.name, entry, found)
        else:
            self._begin(entry, chain, found)

    def _begin(self, entry: Entry, chain: Chain | None, found: Document | None) -> None:
        if not self._owned.stop_expecting((entry.list, entry.id)):
            return  # lost meanwhile
        if chain is None:  # since the read began
            self._returns.add(entry.list, entry.id)
            return
        self._slots.take(chain.name)
        progress = decode_progress(entry.progress)
        self._start(entry, progress, self._held(chain), found)

    def _held(self, chain: Chain) -> HeldSlot:
        # With one at a time, the next begins when the last is through: that keeps them in order.
        return HeldSlot(self._slots, chain.name, may_leave=chain.concurrency > 1)

    def _has_slot(self, chain: Chain) -> bool:
        if self._stopping or chain.name in self._room.paused:
            return False
        return self._slots.room(chain.name, chain.concurrency) > 0

    def _catch_up(self, name: str) -> None:
        """Begin what was read ahead, as long as there are slots."""
        chain = self._current().chains.by_name.get(name)
        while chain is not None and self._ahead.has(name) and self._has_slot(chain):
            entry, found = self._ahead.take(name)
            self._begin(entry, chain, found)

    def adopt(self, resumed: Iterable[Resumed]) -> int:
        """Go on with entries that were begun before; how many were not ours yet."""
        count = 0
        for item in resumed:
            entry = item.entry
            if (entry.list, entry.id) not in self._owned:
                self._start(entry, item.progress)
                count += 1
        return count

    def lose(self, list_name: str, entry: str) -> None:
        """Stop working on an entry that is not ours any more.

        One that has just been acknowledged is gone too, only that its task does not know yet.
        """
        key = (list_name, entry)
        if self._owned.stop_expecting(key):
            events.lease_lost(list_name, entry)
            self.on_free()
        elif self._owned.is_under_way(key) and not self._commits.is_under_way(*key):
            events.lease_lost(list_name, entry)
            self._owned.let_go(key)

    def reconfigure(self, changed: Set[str]) -> None:
        """Another generation is in force: let go of what rests and runs nowhere here any more.

        `changed` names breakers of what is configured in another way now.
        """
        current = self._current()
        self._slots.set_limits({it.name: it.concurrency for it in current.chains.by_name.values()})
        for entry, found in self._ahead.take_all():
            if self._owned.stop_expecting((entry.list, entry.id)):
                self.expect([entry])
                self._begin_or_wait(entry, found)
        for key in self._owned.keys:
            if key not in self._owned.busy and current.runs(key[0]) is None:
                self._owned.let_go(key)
                self._returns.add(*key)
        self._resting.reconfigure(current.runs, changed)

    async def give_back(self) -> None:
        """Leave to others what is not read here any more. Raises Unavailable."""
        await self._returns.send()

    def _start(
        self,
        entry: Entry,
        progress: Progress,
        slot: HeldSlot | None = None,
        found: Document | None = None,
    ) -> None:
        """`slot` is what the entry holds already."""
        key = (entry.list, entry.id)
        if slot is not None:
            self._owned.busy.add(key)
        self._returns.take_back(*key)
        self._owned.start(key, self._work(entry, progress, slot, found), slot)

    async def _work(
        self, entry: Entry, progress: Progress, slot: HeldSlot | None, found: Document | None
    ) -> None:
        key = (entry.list, entry.id)
        try:
            while True:
                if slot is None and (chain := self._current().runs(entry.list)):
                    await self._resting.rest(key, chain, progress)
                if progress.crashes:
                    async with self._suspects.turn(progress.crashes):
                        result = await self._attempt(entry, progress, slot, found)
                else:
                    result = await self._attempt(entry, progress, slot, found)
                if isinstance(result, Done):
                    return
                found = None
                if self._stopping:
                    self._retired.append(key)
                    return
                if self._current().runs(entry.list) is None:
                    self._returns.add(*key)
                    return
                progress, slot = result.progress, None
        # An error of our own: leave the entry pending. Its lease ends, it comes back as a crash,
        # and ends as a dead letter if it is to blame.
        except Exception as error:
            events.unhandled(f"list {entry.list}", error)
            raise

    async def _attempt(
        self, entry: Entry, progress: Progress, slot: HeldSlot | None, found: Document | None
    ) -> Done | Waiting:
        """Still waiting, as before, when no chain runs the entry any more."""
        key, resumed = (entry.list, entry.id), slot is None
        if slot is None:
            if (chain := self._current().runs(entry.list)) is None:
                return Waiting(progress)
            await self._slots.acquire(chain.name, chain.concurrency)
            slot = self._held(chain)
        self._owned.busy.add(key)
        try:
            generation = self._current()
            if (chain := generation.runs(entry.list)) is None:
                return Waiting(progress)
            with generation.usage:
                attempt = generation.processor.attempt
                result = await attempt(entry, chain, progress, found, slot, resumed=resumed)
            if isinstance(result, Done):
                self._count(chain, result)
            return result
        finally:
            self._owned.busy.discard(key)
            slot.end()

    def _count(self, chain: Chain, done: Done) -> None:
        if done.outcome in _FINISHED:
            self.rates.count(chain.name)

    # Stopping

    def stop(self) -> None:
        """Take nothing more, and begin no attempt anew."""
        self._stopping = True

    async def drain(self, grace: float) -> int:
        """Give entries `grace` seconds to finish, then cancel them; how many are left."""
        before = len(self._owned) + len(self._owned.expected)
        events.drain_started(before)
        for key in self._resting.keys.intersection(self._owned.keys):
            self._retired.append(key)
            self._owned.cancel(key)
        busy = [key for key in self._owned.keys if key not in self._resting.keys]
        await self._owned.wait(busy, grace)
        left = dict.fromkeys((*self._retired, *self._owned.keys, *self._owned.expected))
        await self._owned.cancel_all()
        for list_name, entry in left:
            self._left.setdefault(list_name, []).append(entry)
        events.drain_ended(before - len(left), len(left))
        return len(left)

    async def hand_over(self) -> None:
        """Give what `drain` left to other replicas, once no commit is under way any more."""
        try:
            await self._stream.hand_over(self._left)
            await self._returns.send()
        except Unavailable as error:
            # Then the leases end by themselves.
            self._outage.lost(error)
