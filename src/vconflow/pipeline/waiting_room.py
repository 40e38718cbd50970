"""Entries that are ours and rest: until a retry is due, or until what they need is back."""

import asyncio
from collections import Counter
from collections.abc import Callable, Set

from vconflow.pipeline.breaker import Breakers
from vconflow.pipeline.chain import Chain
from vconflow.ports.clock import Clock
from vconflow.ports.ledger import Progress

__all__ = ["WaitingRoom"]

Key = tuple[str, str]


class WaitingRoom:
    """Holds at most `limit` entries per chain; who asks `is_full` stops reading then.

    A resting entry holds no slot and no document. `on_free` is called when one has left.
    """

    def __init__(
        self, clock: Clock, breakers: Breakers, limit: int, on_free: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._breakers = breakers
        self._limit = limit
        self._on_free = on_free
        self._count: Counter[str] = Counter()
        self._ends: dict[Key, tuple[Progress, asyncio.Timeout]] = {}
        self.keys: set[Key] = set()

    def count(self, chain: str) -> int:
        """How many entries of the chain rest."""
        return self._count[chain]

    def is_full(self, chain: str) -> bool:
        """Whether so many entries of the chain rest that no more should be begun."""
        return self._count[chain] >= self._limit

    def _seconds_left(self, progress: Progress) -> float:
        return progress.due / 1000 - self._clock.now()

    async def rest(self, key: Key, chain: Chain, progress: Progress) -> None:
        """Return when the entry may go on."""
        if not progress.parked and self._seconds_left(progress) <= 0:
            return
        if _rests_in_vain(chain, progress):
            return
        self._count[chain.name] += 1
        self.keys.add(key)
        try:
            async with asyncio.timeout(None) as end:
                self._ends[key] = progress, end
                await self._breakers.passage(progress.parked)
                if (seconds := self._seconds_left(progress)) > 0:
                    await self._clock.sleep(seconds)
        except TimeoutError:
            pass  # by `reconfigure`: nothing else sets an end
        finally:
            self._ends.pop(key, None)
            self.keys.discard(key)
            self._count[chain.name] -= 1
            self._on_free()

    def reconfigure(self, runs: Callable[[str], Chain | None], changed: Set[str]) -> None:
        """Let those go on at once that are parked for a breaker that has `changed`, or for one that
        the chain which `runs` their list does without now.
        """
        now = asyncio.get_running_loop().time()
        for key, (progress, end) in list(self._ends.items()):
            chain = runs(key[0])
            is_vain = chain is not None and _rests_in_vain(chain, progress)
            if is_vain or not changed.isdisjoint(progress.parked):
                del self._ends[key]
                end.reschedule(now)


def _rests_in_vain(chain: Chain, progress: Progress) -> bool:
    # A document may be in a storage that is none of the chain's.
    if not progress.stage.startswith(("link:", "storage:")):
        return False
    return not chain.needs.issuperset(progress.breakers)
