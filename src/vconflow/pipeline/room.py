"""How much more a replica may take."""

from collections.abc import Callable

from vconflow.pipeline.ahead import MOST
from vconflow.pipeline.breaker import Breakers
from vconflow.pipeline.chain import Chain
from vconflow.pipeline.generation import Generation
from vconflow.pipeline.slots import Slots
from vconflow.pipeline.suspects import Suspects
from vconflow.pipeline.waiting_room import WaitingRoom
from vconflow.telemetry import events

__all__ = ["Room"]


class Room:
    """Room for entries of each list; none of those whose chain is held or `paused`, or rests."""

    def __init__(
        self,
        current: Callable[[], Generation],
        slots: Slots,
        resting: WaitingRoom,
        suspects: Suspects,
        breakers: Breakers,
        pace: Callable[[str], int],
        expecting: Callable[[str], int],
    ) -> None:
        self._current = current
        self._slots = slots
        self._resting = resting
        self._suspects = suspects
        self._breakers = breakers
        self._pace = pace
        self._expecting = expecting
        self._full: set[str] = set()
        self.paused: frozenset[str] = frozenset()

    def to_read(self, list_name: str) -> int:
        """How many new entries of a list may be begun, or read ahead by a quick chain."""
        chain = self._current().runs(list_name)
        if chain is None or not self._reads(chain):
            return 0
        if self._slots.queued(chain.name):
            return 0
        # As many as there are slots may be on their way out.
        late = max(0, self._slots.finishing(chain.name) - chain.concurrency)
        room = self._slots.room(chain.name, chain.concurrency) + self._ahead(chain) - late
        room -= self._expecting(chain.name)
        return max(0, min(room, self._breakers.allowance(chain.breakers)))

    def _ahead(self, chain: Chain) -> int:
        # Where all chains share too few slots, each freed one is for whoever is next to be read.
        if self._current().chains.concurrency > self._slots.total:
            return 0
        return min(self._pace(chain.name), chain.concurrency, MOST)

    def to_claim(self, list_name: str) -> int:
        """How many entries of dead replicas may be taken over: they queue, before new ones."""
        chain = self._current().runs(list_name)
        if chain is None or not self._reads(chain):
            return 0
        queued = self._slots.queued(chain.name) + self._suspects.waiting
        goes_on = self._breakers.allowance(chain.breakers)
        return max(0, chain.concurrency - queued) if goes_on else 0

    def _reads(self, chain: Chain) -> bool:
        full = self._resting.is_full(chain.name)
        if full != (chain.name in self._full):
            self._full ^= {chain.name}
            events.chain_full(chain.name, self._resting.count(chain.name), is_full=full)
        return not (full or chain.name in self.paused)
