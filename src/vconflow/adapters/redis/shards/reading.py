"""Reading new entries of all shards, within one budget.

A blocking read on each shard would take up to its count from each of them, and so more than there
is room for. Here the waiting takes nothing: each shard is watched for what comes behind the end of
its lists, and what is there is then taken by shares.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from msgspec.structs import replace

from vconflow.adapters.redis.ending import end_all
from vconflow.adapters.redis.shards.numbering import Numbering, order
from vconflow.adapters.redis.shards.spreading import each, settled
from vconflow.adapters.redis.shards.standing import Standing
from vconflow.adapters.redis.stream import RedisStream
from vconflow.model.entry import Entry
from vconflow.ports.stream import ReadRequest

__all__ = ["ShardedReading"]

Share = tuple[list[ReadRequest], int]


class ShardedReading:
    """`read` and `wake` of `EntryStream`. A watch lasts until its shard has something new."""

    def __init__(
        self, streams: Sequence[RedisStream], numbering: Numbering, standing: Standing
    ) -> None:
        self._streams = streams
        self._numbering = numbering
        self._standing = standing
        self._turn = 0
        self._woken = asyncio.Event()
        self._watches: dict[int, tuple[frozenset[str], asyncio.Task[None]]] = {}

    async def read(self, requests: Sequence[ReadRequest], total: int, block: float) -> list[Entry]:
        """See `EntryStream.read`."""
        self._standing.check()
        self._woken.clear()
        loop = asyncio.get_running_loop()
        end = loop.time() + block
        names = frozenset(name for request in requests for name in request.lists)
        while not (entries := await self._take(requests, total, self._unwatched(names))):
            left = end - loop.time()
            if left <= 0 or self._woken.is_set():
                break
            unwatched = self._unwatched(names)
            ends = await each(self._ends(number, sorted(names)) for number in unwatched)
            # What came before the ends were known is seen by nobody else.
            if entries := await self._take(requests, total, unwatched):
                break
            for number, known in zip(unwatched, ends, strict=True):
                watch = asyncio.create_task(self._streams[number].watch(known, block))
                watch.add_done_callback(_end_quietly)
                self._watches[number] = names, watch
            await self._wait_for_watches(left)
        return entries

    async def wake(self) -> None:
        """See `EntryStream.wake`."""
        self._woken.set()

    async def close(self) -> None:
        """End all watches."""
        await end_all(watch for _, watch in self._watches.values())

    async def _take(
        self, requests: Sequence[ReadRequest], total: int, shards: list[int]
    ) -> list[Entry]:
        """First an equal share of each shard; what those leave goes to those that have more."""
        entries: list[Entry] = []
        failure: Exception | None = None
        has_found, left = False, shards
        while left and total > 0 and requests:
            # Never more at a time than may each give one.
            size = min(len(left), total, *(request.budget for request in requests))
            group, left = left[:size], left[size:]
            shares = list(_shares(requests, total, size))
            outcomes = await settled(
                self._take_of(it, *share) for it, share in zip(group, shares, strict=True)
            )
            longer = []
            for number, share, outcome in zip(group, shares, outcomes, strict=True):
                if isinstance(outcome, Exception):
                    failure = outcome
                    continue
                entries += [self._whole(number, entry) for entry in outcome]
                requests, total = _less(requests, outcome), total - len(outcome)
                if _is_used_up(share, outcome):
                    longer.append(number)
            # From the first find on only shards with more are asked, the others by the next read.
            left = longer if entries and not has_found else left + longer
            has_found = bool(entries)
        if failure is not None and not entries:
            raise failure
        # Those of the other shards are ours already.
        return sorted(entries, key=lambda entry: order(entry.id))

    async def _take_of(
        self, shard: int, requests: Sequence[ReadRequest], total: int
    ) -> list[Entry]:
        stream = self._streams[shard]
        return await self._standing.ask(shard, lambda: stream.take(requests, total))

    def _next_order(self) -> list[int]:
        """All shards, each in turn the first."""
        self._turn = (self._turn + 1) % len(self._streams)
        return [*range(self._turn, len(self._streams)), *range(self._turn)]

    def _unwatched(self, names: Collection[str]) -> list[int]:
        """The shards that may have something new: the others had nothing when they were asked,
        and their watch, which began before that, has not ended. Those that are silent have not.
        """
        return [
            number
            for number in self._next_order()
            if not self._standing.is_silent(number) and not self._watches_all(number, names)
        ]

    def _watches_all(self, shard: int, names: Collection[str]) -> bool:
        watched, watch = self._watches.get(shard, (frozenset(), None))
        return watch is not None and not watch.done() and watched.issuperset(names)

    async def _ends(self, shard: int, lists: Sequence[str]) -> dict[str, str]:
        return await self._standing.ask(shard, lambda: self._end_watch(shard, lists))

    async def _end_watch(self, shard: int, lists: Sequence[str]) -> dict[str, str]:
        """End the watch of a shard, if it is of other lists; the ends of these."""
        _, watch = self._watches.pop(shard, (None, None))
        if watch is not None and not watch.done():
            await self._streams[shard].wake()
            await asyncio.wait([watch])
        return await self._streams[shard].ends(lists)

    async def _wait_for_watches(self, seconds: float) -> None:
        # That of a silent shard may have failed long ago.
        watches = {
            watch
            for number, (_, watch) in self._watches.items()
            if not self._standing.is_silent(number)
        }
        woken = asyncio.create_task(self._woken.wait())
        try:
            await asyncio.wait({woken, *watches}, timeout=seconds, return_when="FIRST_COMPLETED")
        finally:
            woken.cancel()
        for watch in watches:
            if watch.done():
                watch.result()

    def _whole(self, shard: int, entry: Entry) -> Entry:
        return replace(entry, id=self._numbering.whole(shard, entry.id))


def _end_quietly(watch: asyncio.Task[None]) -> None:
    """It may fail while nobody reads: the next read finds out by itself."""
    if not watch.cancelled():
        watch.exception()


def _less(requests: Sequence[ReadRequest], taken: Sequence[Entry]) -> list[ReadRequest]:
    """What is still wanted."""
    counts = Counter(entry.list for entry in taken)
    left = (replace(it, budget=it.budget - _count(counts, it)) for it in requests)
    return [request for request in left if request.budget > 0]


def _is_used_up(share: Share, taken: Sequence[Entry]) -> bool:
    """Whether there may be more than was asked for."""
    requests, total = share
    return len(taken) >= total or len(_less(requests, taken)) < len(requests)


def _count(counts: Counter[str], request: ReadRequest) -> int:
    return sum(counts[name] for name in request.lists)


def _shares(requests: Sequence[ReadRequest], total: int, count: int) -> Iterator[Share]:
    """Budgets divided by so many; each part gets one at least."""
    for number in range(count):
        part = [replace(it, budget=_share(it.budget, count, number)) for it in requests]
        yield part, _share(total, count, number)


def _share(whole: int, count: int, number: int) -> int:
    return whole // count + (number < whole % count)
