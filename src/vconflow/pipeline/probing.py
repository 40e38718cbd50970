"""Finding out whether what was down is back."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from vconflow.pipeline.breaker import Breaker, Breakers
from vconflow.ports.clock import Clock

__all__ = ["Prober"]

_SHORTEST = 0.5


class Prober:
    """Asks each open breaker's dependency again and again, at least every `longest` seconds unless
    it asked for a longer pause.

    `ping` raises what hinders what a breaker of that name guards. A storage or tracer is pinged
    first; then, as for a link, which cannot be pinged, an entry tries it.
    """

    def __init__(
        self,
        breakers: Breakers,
        ping: Callable[[str], Awaitable[None]],
        clock: Clock,
        longest: float,
    ) -> None:
        self._breakers = breakers
        self._ping = ping
        self._clock = clock
        self._longest = longest
        self._changed = asyncio.Event()
        self._known: dict[str, int] = {}
        self._probes: dict[str, asyncio.Task[None]] = {}

    def look(self) -> None:
        """A breaker has changed."""
        self._changed.set()

    async def run(self) -> None:
        """Probe whatever is open, for ever."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                for breaker in self._breakers.open_ones:
                    if self._known.get(breaker.name) != breaker.openings:
                        self._known[breaker.name] = breaker.openings
                        self._begin(breaker, group)
                await self._changed.wait()

    def _begin(self, breaker: Breaker, group: asyncio.TaskGroup) -> None:
        # The probe of the opening before may sleep for long yet.
        if (before := self._probes.get(breaker.name)) is not None:
            before.cancel()
        probe = self._probe(breaker, breaker.openings)
        self._probes[breaker.name] = group.create_task(probe)

    async def _probe(self, breaker: Breaker, opening: int) -> None:
        wait = min(_SHORTEST, self._longest)
        while True:
            # Spread, so that the replicas do not all come at the same moment.
            pause = wait * random.uniform(0.5, 1.0)
            if not await self._stays_open(breaker, opening, pause):
                return
            # Now, not when the other side wants to be asked again: that may be in an hour.
            breaker.tell()
            rest = breaker.retry_after - pause
            if rest > 0 and not await self._stays_open(breaker, opening, rest):
                return
            if await self._answers(breaker):
                breaker.grant()
            wait = min(wait * 2, self._longest)

    async def _stays_open(self, breaker: Breaker, opening: int, seconds: float) -> bool:
        await self._clock.sleep(seconds)
        return breaker.is_open and breaker.openings == opening

    async def _answers(self, breaker: Breaker) -> bool:
        try:
            await self._ping(breaker.name)
        # Whatever hinders it: it is not back.
        except Exception as error:  # noqa: BLE001
            breaker.note(error)
            return False
        return True
