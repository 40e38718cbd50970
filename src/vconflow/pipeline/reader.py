"""Reading new entries: one blocking read at a time, for all chains."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from vconflow.errors import Permanent, Unavailable
from vconflow.model.entry import Entry
from vconflow.pipeline.bringing import Bringer
from vconflow.pipeline.chain import Chains
from vconflow.pipeline.consumer import Consumer
from vconflow.pipeline.outage import Outage
from vconflow.ports.clock import Clock
from vconflow.ports.documents import Documents
from vconflow.ports.stream import EntryStream, ReadRequest
from vconflow.telemetry import events

__all__ = ["Reader"]

_BLOCK = 5.0
_BATCH = 64
"""Entries of a chain in one read: with more, most of a chain would begin and end in step."""
_SHORTEST_BACKOFF, _LONGEST_BACKOFF = 0.1, 2.0
"""Seconds between reads while Redis is away."""

ItemT = TypeVar("ItemT")


class Reader:
    """Gives the consumer what it has room for, until `stop`.

    A read under way is never cancelled: what the server has already handed out would be lost until
    its lease ends. It is woken instead.
    """

    def __init__(
        self,
        chains: Callable[[], Chains],
        stream: EntryStream,
        documents: Documents,
        consumer: Consumer,
        clock: Clock,
        outage: Outage,
    ) -> None:
        self._chains = chains
        self._stream = stream
        self._documents = documents
        self._consumer = consumer
        self._clock = clock
        self._outage = outage
        self._stopping = False
        self._room = asyncio.Event()
        self._skipped = False
        self._backoff = _SHORTEST_BACKOFF
        self._turn = 0
        self._wakes: set[asyncio.Task[None]] = set()
        self._is_reading = self._is_outdated = False
        self._outdated: list[asyncio.Future[None]] = []

    async def run(self) -> None:
        """Read until `stop`."""
        async with asyncio.TaskGroup() as tasks:
            await self._read_on(Bringer(self._documents, self._consumer, tasks))

    async def _read_on(self, bringer: Bringer) -> None:
        while not self._stopping:
            requests = self._requests()
            if not requests:
                self._room.clear()
                await self._room.wait()
                continue
            self._is_reading = True
            entries = await self._read(requests)
            bringer.bring(entries)
            # Where more waits, it is read meanwhile; else more gathers until they have begun.
            if self._is_outdated or len(entries) < sum(request.budget for request in requests):
                await bringer.done()
            self._is_reading = False
            if self._is_outdated:
                self._caught_up()

    def stop(self) -> None:
        """Let `run` end."""
        self._stopping = True
        self._room.set()
        self._wake()

    def reconsider(self) -> None:
        """What is to be read is another: a read under way ends early."""
        self._is_outdated = self._is_reading
        self._room.set()
        self._wake()

    async def come_round(self) -> None:
        """Wait until a read that was begun before `reconsider` has ended."""
        if self._is_outdated:
            ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._outdated.append(ended)
            await ended

    def _caught_up(self) -> None:
        self._is_outdated = False
        for ended in self._outdated:
            if not ended.done():
                ended.set_result(None)
        self._outdated.clear()

    def look_again(self) -> None:
        """Something has become free: there may be room where there was none."""
        self._room.set()
        # The read under way may not look at the lists of the chain that has room now.
        if self._skipped and self._is_reading:
            self._skipped = False
            self._wake()

    async def _read(self, requests: Sequence[ReadRequest]) -> list[Entry]:
        try:
            entries = await self._stream.read(requests, self._consumer.free, _BLOCK)
        except (Unavailable, Permanent) as error:
            self._outage.lost(error)
            await self._clock.sleep(self._backoff)
            self._backoff = min(self._backoff * 2, _LONGEST_BACKOFF)
            return []  # what there is room for may have changed meanwhile
        self._outage.back()
        self._backoff = _SHORTEST_BACKOFF
        return entries

    def _requests(self) -> list[ReadRequest]:
        """What each chain can take, every list and every chain in turn the first."""
        self._turn += 1
        requests = []
        self._skipped = False
        free = self._consumer.free
        for chain in _rotated([*self._chains().by_name.values()], self._turn):
            if not chain.lists or chain.held:
                continue
            # At most half of what the chain may do at once: one half is read and worked on here
            # while Redis writes what became of the other.
            most = min(-(-chain.concurrency // 2), _BATCH)
            budget = min(self._consumer.room(chain.lists[0]), most, free)
            # What was read ahead is begun first: many small reads would cost more.
            if budget >= (max(1, most // 2) if self._consumer.expecting(chain.name) else 1):
                requests.append(ReadRequest(tuple(_rotated(chain.lists, self._turn)), budget))
            else:
                self._skipped = True
        return requests

    def _wake(self) -> None:
        task = asyncio.create_task(self._stream.wake())
        self._wakes.add(task)
        task.add_done_callback(self._woken)

    def _woken(self, task: asyncio.Task[None]) -> None:
        self._wakes.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        # The read ends by itself within its block time.
        if isinstance(error, Unavailable):
            self._outage.lost(error)
        else:
            events.unhandled("wake", error)


def _rotated(items: Sequence[ItemT], turn: int) -> list[ItemT]:
    start = turn % len(items) if items else 0
    return [*items[start:], *items[:start]]
