"""The entries this replica owns: one task for each, from its first read to its ack."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vconflow.errors import Unavailable
from vconflow.model.entry import Entry
from vconflow.pipeline.breaker import Breakers
from vconflow.pipeline.cancelling import cancel_all
from vconflow.pipeline.chain import Chain, Chains
from vconflow.pipeline.outage import Outage
from vconflow.pipeline.processor import Done, Processor, Waiting
from vconflow.pipeline.slots import Slots
from vconflow.pipeline.suspects import Suspects
from vconflow.pipeline.waiting_room import WaitingRoom
from vconflow.ports.clock import Clock
from vconflow.ports.ledger import Progress, decode_progress
from vconflow.ports.stream import EntryStream, Resumed
from vconflow.telemetry import events

__all__ = ["Consumer", "Limits"]

_NO_TURN = contextlib.nullcontext()


@dataclass(frozen=True)
class Limits:
    """`total` entries at the same time; per chain `waiting` for a retry before reading stops.

    So many `crashes` end an entry.
    """

    total: int = 1024
    waiting: int = 10_000
    crashes: int = 3


class Consumer:
    """One task per entry, within the limits of its chain.

    An entry is owned from the moment it is read until it is acknowledged or lost. While it rests
    it holds no slot and no document. Assign `on_free` to be told when there is room again.
    """

    def __init__(
        self,
        chains: Chains,
        stream: EntryStream,
        processor: Processor,
        clock: Clock,
        limits: Limits,
        breakers: Breakers,
        outage: Outage,
    ) -> None:
        self._chains = chains
        self._stream = stream
        self._processor = processor
        self._outage = outage
        self._breakers = breakers
        self._slots = Slots(limits.total, self._freed)
        self._resting = WaitingRoom(clock, breakers, limits.waiting, self._freed)
        self._suspects = Suspects(limits.crashes)
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._dropped: set[tuple[str, str]] = set()
        self._held: set[str] = set()
        self._stopping = False
        self._retired: list[tuple[str, str]] = []
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
        owned: dict[str, list[str]] = {}
        for list_name, entry in self._tasks:
            owned.setdefault(list_name, []).append(entry)
        return owned

    def dropped(self, list_name: str) -> list[str]:
        """Entries of a list whose task ended by an error, and which still are under our name."""
        return [entry for name, entry in self._dropped if name == list_name]

    @property
    def free(self) -> int:
        """How many more entries of all chains together this replica could take."""
        return self._slots.free

    def room(self, list_name: str) -> int:
        """How many more entries of a list this replica could take."""
        chain = self._chains.by_list[list_name]
        if not self._reads(chain):
            return 0
        room = self._slots.room(chain.name, chain.concurrency)
        return min(room, self._breakers.allowance(chain.breakers))

    def claimable(self, list_name: str) -> int:
        """How many entries of dead replicas to claim: they queue for a slot, before new ones."""
        chain = self._chains.by_list[list_name]
        queued = self._slots.queued(chain.name) + self._suspects.waiting
        goes_on = self._reads(chain) and self._breakers.allowance(chain.breakers)
        return max(0, chain.concurrency - queued) if goes_on else 0

    def _reads(self, chain: Chain) -> bool:
        full = self._resting.is_full(chain.name)
        if full != (chain.name in self._held):
            self._held ^= {chain.name}
            events.chain_full(chain.name, self._resting.count(chain.name), is_full=full)
        return not (self._stopping or chain.held or full)

    def _freed(self) -> None:
        self.on_free()

    # Owning

    def begin(self, entries: Iterable[Entry]) -> None:
        """Work on entries that were just read."""
        for entry in entries:
            chain = self._chains.by_list[entry.list]
            self._slots.take(chain.name)
            self._start(entry, chain, decode_progress(entry.progress), has_slot=True)

    def adopt(self, resumed: Iterable[Resumed]) -> int:
        """Go on with entries that were begun before; how many were not ours yet."""
        count = 0
        for item in resumed:
            entry = item.entry
            if (entry.list, entry.id) not in self._tasks:
                chain = self._chains.by_list[entry.list]
                self._start(entry, chain, item.progress, has_slot=False)
                count += 1
        return count

    def lose(self, list_name: str, entry: str) -> None:
        """Stop working on an entry that is not ours any more.

        One that has just been acknowledged is gone too, only that its task does not know yet.
        """
        task = self._tasks.get((list_name, entry))
        if task is None or task.done() or self._processor.commits.is_under_way(list_name, entry):
            return
        del self._tasks[list_name, entry]
        events.lease_lost(list_name, entry)
        task.cancel()

    def _start(self, entry: Entry, chain: Chain, progress: Progress, *, has_slot: bool) -> None:
        key = (entry.list, entry.id)
        task = asyncio.create_task(self._work(entry, chain, progress, has_slot))
        self._tasks[key] = task
        self._dropped.discard(key)
        task.add_done_callback(lambda done: self._ended(key, done))

    def _ended(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        broke = task.cancelled() or task.exception() is not None
        # What `lose` took out is not under our name any more.
        if self._tasks.get(key) is task:
            del self._tasks[key]
            if broke:
                self._dropped.add(key)

    async def _work(self, entry: Entry, chain: Chain, progress: Progress, has_slot: bool) -> None:
        try:
            while True:
                if not has_slot:
                    await self._resting.rest((entry.list, entry.id), chain.name, progress)
                result = await self._attempt(entry, chain, progress, has_slot)
                if isinstance(result, Done):
                    return
                if self._stopping:
                    self._retired.append((entry.list, entry.id))
                    return
                progress, has_slot = result.progress, False
        # An error of our own: leave the entry pending. Its lease ends, it comes back as a crash,
        # and ends as a dead letter if it is to blame.
        except Exception as error:
            events.unhandled(f"chain {chain.name}", error)
            raise

    async def _attempt(
        self, entry: Entry, chain: Chain, progress: Progress, has_slot: bool
    ) -> Done | Waiting:
        async with self._suspects.turn(progress.crashes) if progress.crashes else _NO_TURN:
            if not has_slot:
                await self._slots.acquire(chain.name, chain.concurrency)
            try:
                return await self._processor.attempt(entry, chain, progress)
            finally:
                self._slots.release(chain.name)

    # Stopping

    def stop(self) -> None:
        """Take nothing more, and begin no attempt anew."""
        self._stopping = True

    async def drain(self, grace: float) -> int:
        """Give entries `grace` seconds to finish, then cancel them; how many are left."""
        before = len(self._tasks)
        events.drain_started(before)
        for key in self._resting.keys & self._tasks.keys():
            self._retired.append(key)
            self._tasks[key].cancel()
        busy = [task for key, task in self._tasks.items() if key not in self._resting.keys]
        if busy:
            await asyncio.wait(busy, timeout=grace)
        left = dict.fromkeys((*self._retired, *self._tasks))
        await cancel_all(list(self._tasks.values()))
        for list_name, entry in left:
            self._left.setdefault(list_name, []).append(entry)
        events.drain_ended(before - len(left), len(left))
        return len(left)

    async def hand_over(self) -> None:
        """Give what `drain` left to other replicas, once no commit is under way any more."""
        try:
            await self._stream.hand_over(self._left)
        except Unavailable as error:
            # Then the leases end by themselves.
            self._outage.lost(error)
