"""How many entries may be worked on at the same time."""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Callable, Mapping

__all__ = ["HeldSlot", "Slots"]


class HeldSlot:
    """The slot that one entry has taken, see `Place`; `may_leave`: before the entry is through."""

    __slots__ = ("_chain", "_has_ended", "_is_left", "_may_leave", "_slots")

    def __init__(self, slots: "Slots", chain: str, *, may_leave: bool = True) -> None:
        self._chain = chain
        self._slots = slots
        self._may_leave = may_leave
        self._is_left = self._has_ended = False

    def leave(self) -> None:
        """See `Place.leave`: from now on the entry is finishing."""
        if self._may_leave and not self._is_left:
            self._is_left = True
            self._slots.finish(self._chain)

    def come_back(self) -> None:
        """See `Place.come_back`."""
        if self._is_left:
            self._is_left = False
            self._slots.go_on(self._chain)

    def end(self) -> None:
        """The entry is through, or waits. Doing it again changes nothing."""
        if self._has_ended:
            return
        self._has_ended = True
        if self._is_left:
            self._slots.finished(self._chain)
        else:
            self._slots.release(self._chain)


class Slots:
    """Room per chain and altogether. `on_free` is called when room appears where there was none."""

    def __init__(self, total: int, on_free: Callable[[], None]) -> None:
        self.total = total
        self._used: dict[str, int] = {}
        self._all = 0
        self._finishing: Counter[str] = Counter()
        self._limits: dict[str, int] = {}
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}
        self._on_free = on_free

    def used(self, chain: str) -> int:
        """How many entries of the chain are being worked on."""
        return self._used.get(chain, 0)

    @property
    def free(self) -> int:
        """Room altogether."""
        return self.total - self._all

    def room(self, chain: str, limit: int) -> int:
        """Room for new entries of a chain; none while others of it wait to go on."""
        if self._queues.get(chain):
            return 0
        return max(0, min(limit - self.used(chain), self.free))

    def queued(self, chain: str) -> int:
        """How many begun entries of a chain wait for a slot."""
        return len(self._queues.get(chain, ()))

    def take(self, chain: str) -> None:
        """Occupy a slot, even beyond the limit: the entry is ours already."""
        self._used[chain] = self.used(chain) + 1
        self._all += 1

    async def acquire(self, chain: str, limit: int) -> None:
        """Wait for a slot and occupy it; entries that were begun go before new ones."""
        if self.room(chain, limit):
            self.take(chain)
            return
        self._limits[chain] = limit
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._queues.setdefault(chain, deque())
        queue.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(chain)
            else:
                with contextlib.suppress(ValueError):  # `release` may have dropped it already
                    queue.remove(future)
            raise

    def release(self, chain: str) -> None:
        """Give a slot back, first to one that waits for it."""
        self._used[chain] -= 1
        self._all -= 1
        if not self._pass_on(chain):
            self._on_free()

    def finishing(self, chain: str) -> int:
        """How many entries of a chain hold no slot any more and are not through yet."""
        return self._finishing[chain]

    def finish(self, chain: str) -> None:
        """Give the slot back of an entry that has nothing to do but to be committed."""
        self._finishing[chain] += 1
        self.release(chain)

    def go_on(self, chain: str) -> None:
        """It was refused: it occupies a slot again."""
        self._finishing[chain] -= 1
        self.take(chain)

    def finished(self, chain: str) -> None:
        """It is committed."""
        self._finishing[chain] -= 1
        self._on_free()

    def set_limits(self, limits: Mapping[str, int]) -> None:
        """Chains may take more or less at once from now on."""
        self._limits |= limits
        while self._pass_on(""):
            pass

    def _pass_on(self, chain: str) -> bool:
        # Another chain's waiting entries may have lacked nothing but the total.
        for name in (chain, *self._queues):
            queue = self._queues.get(name)
            while queue and self.free > 0 and self.used(name) < self._limits[name]:
                future = queue.popleft()
                if not future.done():
                    self.take(name)
                    future.set_result(None)
                    return True
        return False
