"""Finding out whether what was down is back."""

import asyncio
import random

from vconflow.pipeline.breaker import Breaker, Breakers
from vconflow.pipeline.fanout import Fanout
from vconflow.ports.clock import Clock

__all__ = ["Prober"]

_SHORTEST = 0.5


class Prober:
    """Asks each open breaker's dependency again and again, at most every `longest` seconds.

    A storage is pinged first; then, as for a link, which cannot be pinged, an entry tries it.
    """

    def __init__(self, breakers: Breakers, fanout: Fanout, clock: Clock, longest: float) -> None:
        self._breakers = breakers
        self._fanout = fanout
        self._clock = clock
        self._longest = longest
        self._changed = asyncio.Event()
        self._known: dict[str, int] = {}

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
                        group.create_task(self._probe(breaker, breaker.openings))
                await self._changed.wait()

    async def _probe(self, breaker: Breaker, opening: int) -> None:
        wait = min(_SHORTEST, self._longest)
        while True:
            # Spread, so that the replicas do not all come at the same moment.
            await self._clock.sleep(max(wait * random.uniform(0.5, 1.0), breaker.retry_after))
            if not breaker.is_open or breaker.openings != opening:
                return
            breaker.tell()
            if await self._answers(breaker):
                breaker.grant()
            wait = min(wait * 2, self._longest)

    async def _answers(self, breaker: Breaker) -> bool:
        kind, _, name = breaker.name.partition(":")
        if kind != "storage":
            return True
        try:
            await self._fanout.ping(name)
        # Whatever hinders it: it is not back.
        except Exception as error:  # noqa: BLE001
            breaker.note(error)
            return False
        return True
