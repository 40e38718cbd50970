"""Group commit: calls that arrive while one is under way share the next one."""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar, cast

from vconflow.errors import Overloaded
from vconflow.pipeline.cancelling import cancel_all
from vconflow.pipeline.deadlines import Deadlines

__all__ = ["Batcher"]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

MAX_ITEMS = 256
MAX_BYTES = 4 * 1024 * 1024

_WORTH_IT = 16
"""Items that are worth a batch beside another one: fewer would cost more than they gain."""


class Batcher(Generic[ItemT, ResultT]):
    """Gathers items into batches and hands each batch to `flush`.

    A batch holds at most `max_items` items and `max_bytes` by `size_of`; a larger item goes alone.
    An idle batcher flushes at once, a busy one gathers meanwhile: large batches under load, no
    added latency without. `parallel` flushes run at the same time. `flush` returns one result per
    item, an exception standing for the failure of that item; what it raises fails the whole batch.
    With `max_waiting_bytes`, further items are refused with `Overloaded`; with `patience`, an item
    without a result after so many seconds is given up with `Unavailable`. With `partial`, `flush`
    may return the results of the first items only, one at least: the others come again.

    With `level`, batches are alike in size: each takes no more than its share of all that is there,
    and begins beside another one only if it is worth it. Clients that send again when they are
    answered would else make a large one and a small one by turns, so that we wait for the large one
    and the other side for us. With `key_of`, items of one key are never in two flushes at a time,
    so they stay in the order in which they came; what came behind them waits too.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[ItemT]], Awaitable[Sequence[ResultT | Exception]]],
        *,
        max_items: int = MAX_ITEMS,
        max_bytes: int = MAX_BYTES,
        size_of: Callable[[ItemT], int] = lambda _: 0,
        parallel: int = 1,
        max_waiting_bytes: int | None = None,
        patience: float | None = None,
        partial: bool = False,
        level: bool = False,
        key_of: Callable[[ItemT], object] | None = None,
    ) -> None:
        self._flush = flush
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._size_of = size_of
        self._parallel = parallel
        self._max_waiting_bytes = max_waiting_bytes
        self._partial = partial
        self._level = level
        self._key_of = key_of
        self._deadlines = None if patience is None else Deadlines(patience)
        self._waiting: deque[tuple[ItemT, int, asyncio.Future[ResultT]]] = deque()
        self._waiting_bytes = 0
        self._flushing = 0
        self._keys: set[object] = set()
        self._workers: set[asyncio.Task[None]] = set()

    def submit(self, item: ItemT) -> asyncio.Future[ResultT]:
        """The item's own result to wait for, or its failure. Raises Overloaded.

        Cancelling it does not cut a flush under way: its effect is then unknown.
        """
        size = self._size_of(item)
        if (
            self._max_waiting_bytes is not None
            and self._waiting
            and self._waiting_bytes + size > self._max_waiting_bytes
        ):
            raise Overloaded("too much is waiting to be written")
        future: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, size, future))
        self._waiting_bytes += size
        if self._may_begin(beside=len(self._workers)):
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            # For one that is cancelled before it has begun.
            worker.add_done_callback(self._workers.discard)
        if self._deadlines is not None:
            self._deadlines.add(future)
        return future

    async def drain(self) -> None:
        """Wait until nothing is waiting or under way."""
        while self._workers:
            await asyncio.wait(self._workers)
            await asyncio.sleep(0)

    async def stop(self) -> None:
        """Give up what is under way and what waits: nobody gets a result any more."""
        for _, _, future in self._waiting:
            future.cancel()
        self._waiting.clear()
        self._waiting_bytes = 0
        await cancel_all(self._workers)

    async def _work(self) -> None:
        try:
            while self._waiting and self._may_begin(beside=len(self._workers) - 1):
                items, futures = self._take()
                if items:
                    await self._flush_one(items, futures)
        finally:
            # At once, not in a callback: an item that comes in between must start a new worker.
            self._workers.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _flush_one(self, items: list[ItemT], futures: list[asyncio.Future[ResultT]]) -> None:
        try:
            results = await self._flush_marked(items)
        # Whatever went wrong belongs to those who submitted: they decide what it means.
        except Exception as error:  # noqa: BLE001
            results = [error] * len(items)
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        if self._partial and 0 < len(results) < len(items):
            self._put_back(items[len(results) :], futures[len(results) :])
            futures = futures[: len(results)]
        for future, result in zip(futures, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

    async def _flush_marked(self, items: list[ItemT]) -> Sequence[ResultT | Exception]:
        """Flush, and know meanwhile how many are on their way, and which keys."""
        keys = () if self._key_of is None else tuple(map(self._key_of, items))
        self._flushing += len(items)
        self._keys.update(keys)
        try:
            return await self._flush(items)
        finally:
            self._flushing -= len(items)
            self._keys.difference_update(keys)

    def _put_back(self, items: list[ItemT], futures: list[asyncio.Future[ResultT]]) -> None:
        for item, future in zip(reversed(items), reversed(futures), strict=True):
            size = self._size_of(item)
            self._waiting.appendleft((item, size, future))
            self._waiting_bytes += size

    def _take(self) -> tuple[list[ItemT], list[asyncio.Future[ResultT]]]:
        items: list[ItemT] = []
        futures: list[asyncio.Future[ResultT]] = []
        total, most = 0, self._share()
        while self._waiting and len(items) < most:
            item, size, future = self._waiting[0]
            if items and total + size > self._max_bytes:
                break
            if self._is_under_way(item):
                break
            self._waiting.popleft()
            self._waiting_bytes -= size
            # Who has stopped waiting before the flush does not want it done any more.
            if not future.done():
                items.append(item)
                futures.append(future)
                total += size
        return items, futures

    def _may_begin(self, *, beside: int) -> bool:
        """Whether to flush a batch beside so many others; each of those looks again at its end."""
        if not beside:
            return True
        if beside >= self._parallel or self._is_under_way(self._waiting[0][0]):
            return False
        return not self._level or len(self._waiting) >= _WORTH_IT

    def _is_under_way(self, item: ItemT) -> bool:
        """Whether another item of its key is being flushed."""
        return self._key_of is not None and self._key_of(item) in self._keys

    def _share(self) -> int:
        """How many items the next batch may take."""
        if not self._level:
            return self._max_items
        # Of those under way, and one that gathers meanwhile.
        waiting, batches = len(self._waiting), self._parallel + 1
        share = max(_WORTH_IT, math.ceil((waiting + self._flushing) / batches))
        # What would be left is worth no batch of its own.
        return min(self._max_items, waiting if waiting - share < _WORTH_IT else share)
