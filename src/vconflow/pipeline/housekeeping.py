"""What has to be done now and then: expire dead letters, forget expired vCons, measure lists."""

from collections.abc import Callable, Mapping
from typing import Protocol

from vconflow.errors import Permanent, Retryable
from vconflow.pipeline.chain import Chains
from vconflow.pipeline.consumer import Consumer
from vconflow.pipeline.outage import Outage
from vconflow.pipeline.pausing import Pauses
from vconflow.ports.clock import Clock
from vconflow.ports.dead_letters import DeadLetters
from vconflow.ports.stream import EntryStream, ListDepth
from vconflow.telemetry import events

__all__ = ["Housekeeping", "Sweeper"]

_CHUNK = 500
_MEASURE_SECONDS = 5.0
_MEASURED_PER_SECOND = 400
"""Lists: with thousands of them the gauges are refreshed less often than every few seconds."""
_LISTS_SECONDS = 3600.0
"""Between two looks at all keys for lists with dead letters."""


class Sweeper(Protocol):
    """Forgets vCons whose last copy has expired from Redis."""

    async def sweep(self, now: float, count: int = _CHUNK) -> int:
        """Forget at most `count` that expired before `now` (Unix seconds); how many there were."""
        ...


class Housekeeping:
    """Small steps, so that Redis is never busy with them for long.

    `dead_expiry` is in seconds; 0 keeps dead letters for ever.
    """

    def __init__(
        self,
        chains: Callable[[], Chains],
        stream: EntryStream,
        consumer: Consumer,
        dead_letters: DeadLetters,
        sweeper: Sweeper,
        clock: Clock,
        outage: Outage,
        pauses: Pauses,
        *,
        dead_expiry: int,
    ) -> None:
        self._chains = chains
        self._stream = stream
        self._consumer = consumer
        self._dead_letters = dead_letters
        self._sweeper = sweeper
        self._clock = clock
        self._outage = outage
        self._pauses = pauses
        self._dead_expiry = dead_expiry
        self._other_lists: set[str] = set()
        self._look_for_lists_at = float("-inf")
        self._shown_chains: set[str] = set()
        self._shown_lists: set[str] = set()
        self._shown_readers: set[tuple[str, str]] = set()

    async def measure(self) -> None:
        """Refresh the gauges every few seconds, for ever."""
        while True:
            lists = self._chains().all_lists
            try:
                await self._pauses.refresh()
                self._show(self._chains(), await self._stream.depth(lists))
            except (Retryable, Permanent) as error:
                self._outage.lost(error)
            self._consumer.rates.sample(self._clock.monotonic())
            await self._clock.sleep(max(_MEASURE_SECONDS, len(lists) / _MEASURED_PER_SECOND))

    def _show(self, chains: Chains, depths: Mapping[str, ListDepth]) -> None:
        for name, depth in depths.items():
            events.list_measured(name, depth.waiting, depth.pending, depth.oldest, depth.dead)
        for name in chains.by_name:
            inflight, waiting = self._consumer.inflight(name), self._consumer.waiting(name)
            events.chain_measured(name, inflight, waiting)
        for gone in self._shown_chains.difference(chains.by_name):
            events.chain_gone(gone)
        for gone in self._shown_lists.difference(depths):
            events.list_gone(gone)
        self._shown_chains, self._shown_lists = set(chains.by_name), set(depths)
        self._show_readers({(name, chain.name) for name, chain in chains.by_list.items()})

    def _show_readers(self, readers: set[tuple[str, str]]) -> None:
        for name, chain in self._shown_readers - readers:
            events.list_reader_changed(name, chain, is_read=False)
        for name, chain in readers - self._shown_readers:
            events.list_reader_changed(name, chain, is_read=True)
        self._shown_readers = readers

    async def tidy(self) -> None:
        """Expire and forget every minute, for ever."""
        while True:
            try:
                await self._expire_dead_letters()
                while await self._sweeper.sweep(self._clock.now()) == _CHUNK:
                    pass
                await self._stream.reap(self._chains().lists)
            except (Retryable, Permanent) as error:
                self._outage.lost(error)
            await self._clock.sleep(60.0)

    async def _expire_dead_letters(self) -> None:
        if not self._dead_expiry:
            return
        older_than = int((self._clock.now() - self._dead_expiry) * 1000)
        for name in await self._lists_with_letters():
            while await self._dead_letters.expire(name, older_than, _CHUNK) == _CHUNK:
                pass

    async def _lists_with_letters(self) -> set[str]:
        """Also lists that have left the configuration."""
        if self._clock.monotonic() >= self._look_for_lists_at:
            self._other_lists = await self._dead_letters.lists()
            self._look_for_lists_at = self._clock.monotonic() + _LISTS_SECONDS
        self._other_lists.update(self._chains().lists)
        return self._other_lists
