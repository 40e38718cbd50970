"""Keeping what this replica owns, and taking over what a dead one left."""

import asyncio
from collections.abc import Awaitable, Callable

from vconflow.errors import Permanent, Retryable
from vconflow.pipeline.chain import Chains
from vconflow.pipeline.consumer import Consumer
from vconflow.pipeline.outage import Outage
from vconflow.ports.clock import Clock
from vconflow.ports.stream import EntryStream, Resumed
from vconflow.telemetry import events

__all__ = ["Leases"]

_PAGE = 256
_SOON = 1.0
"""Seconds until a replica looks for more where it has just taken something over."""


class Leases:
    """Renews every third of the lease (seconds), so that two renewals may fail in a row.

    What XAUTOCLAIM returns after the lease therefore belongs to a dead or stuck replica; unless
    Redis was away, when nobody could renew. Then the others get a lease's time to do so.
    """

    def __init__(
        self,
        chains: Callable[[], Chains],
        stream: EntryStream,
        consumer: Consumer,
        clock: Clock,
        outage: Outage,
        lease: float,
    ) -> None:
        self._chains = chains
        self._stream = stream
        self._consumer = consumer
        self._clock = clock
        self._outage = outage
        self._lease = lease
        self._interval = lease / 3
        self._renewed = clock.now()
        self._spares_others_until = 0.0
        self._took_over = 0
        self._reconfigured = asyncio.Event()

    async def recover(self) -> None:
        """Go on with what an earlier life of this replica left, before anything new is read."""
        lists = [name for name, chain in self._chains().by_list.items() if not chain.held]
        for name in await self._stream.left(lists, own=True):
            after, count = "", 0
            while resumed := await self._stream.recover(name, after, _PAGE):
                count += self._consumer.adopt(resumed)
                after = resumed[-1].entry.id
            if count:
                events.recovered(name, count)

    async def run(self) -> None:
        """Renew and take over for ever."""
        while True:
            # Of much that was left, only as much is taken over as there is room for.
            pause = min(_SOON, self._interval) if self._took_over else self._interval
            await self._clock.sleep(pause)
            self._took_over = 0
            # Redis is away: nobody can renew, and nobody can take over either.
            if not await self._has_done(self.renew):
                continue
            is_back = await self._has_done(self._consumer.give_back)
            if self._others_had_time():
                is_back = await self._has_done(self.take_over) and is_back
            if is_back:
                self._outage.back()

    async def _has_done(self, step: Callable[[], Awaitable[object]]) -> bool:
        try:
            await step()
        except (Retryable, Permanent) as error:
            self._outage.lost(error)
            return False
        return True

    def reconfigure(self) -> None:
        """The chains are others from now on."""
        self._reconfigured.set()

    async def follow(self) -> None:
        """After every change of the chains, for ever: give back what no chain here reads any more,
        and take over what others gave back of the lists that are new here.
        """
        while True:
            await self._reconfigured.wait()
            self._reconfigured.clear()
            try:
                await self._consumer.give_back()
                # All of it at once: most of it only rests.
                while self._clock.now() >= self._spares_others_until and await self.take_over():
                    pass
            except (Retryable, Permanent) as error:
                # Then with the next renewal.
                self._outage.lost(error)

    def _others_had_time(self) -> bool:
        now = self._clock.now()
        # Whoever renewed just before us may have been kept from it for as long as a lease.
        if now - self._renewed > 2 * self._interval:
            self._spares_others_until = now + self._lease
        self._renewed = now
        return now >= self._spares_others_until

    async def renew(self) -> None:
        """Renew all leases and stop work on entries that are no longer ours."""
        for list_name, entry in await self._stream.renew(self._consumer.owned()):
            self._consumer.lose(list_name, entry)

    async def take_over(self) -> int:
        """Claim entries of dead replicas, as many as there is room for; how many there were."""
        total = 0
        for name in await self._stream.left(self._chains().lists):
            room = min(self._consumer.claimable(name), _PAGE)
            if room:
                count = self._consumer.adopt(await self._take_over(name, room))
                if count:
                    events.took_over(name, count)
                total += count
        self._took_over = total
        return total

    async def _take_over(self, list_name: str, room: int) -> list[Resumed]:
        dropped = self._consumer.dropped(list_name)
        return await self._stream.take_over(list_name, room, dropped)
