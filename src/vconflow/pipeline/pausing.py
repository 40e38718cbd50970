"""Which chains are paused, as far as this replica knows."""

import asyncio
from collections.abc import Callable

from vconflow.errors import Permanent, Retryable
from vconflow.pipeline.outage import Outage
from vconflow.ports.chain_control import ChainSwitch
from vconflow.telemetry import events

__all__ = ["Pauses"]


class Pauses:
    """Follows the switch that all replicas share; calls `on_change` with all paused chains.

    Changes are announced, and `refresh` is called every few seconds besides, since announcements
    get lost.
    """

    def __init__(
        self,
        switch: ChainSwitch,
        outage: Outage,
        on_change: Callable[[frozenset[str]], None],
    ) -> None:
        self._switch = switch
        self._outage = outage
        self._on_change = on_change
        self._announced = asyncio.Event()
        self._looking = asyncio.Lock()
        self.names: frozenset[str] = frozenset()

    async def refresh(self) -> None:
        """Learn what is paused now. Raises Unavailable."""
        async with self._looking:  # an answer that comes late must not undo a newer one
            self._learn(await self._switch.paused())

    async def pause(self, chain: str) -> None:
        """Pause a chain everywhere; here it is paused on return. Raises Unavailable."""
        await self._switch.pause(chain)
        await self.refresh()

    async def resume(self, chain: str) -> None:
        """Let a chain go on everywhere. Raises Unavailable."""
        await self._switch.resume(chain)
        await self.refresh()

    async def listen(self) -> None:
        """Wait for announcements, for ever."""
        await self._switch.listen(self._announced.set)

    async def follow(self) -> None:
        """Look after every announcement, for ever."""
        while True:
            await self._announced.wait()
            self._announced.clear()
            try:
                await self.refresh()
            except (Retryable, Permanent) as error:
                self._outage.lost(error)  # the next look is due in a few seconds anyway

    def _learn(self, names: frozenset[str]) -> None:
        changed, self.names = names ^ self.names, names
        for chain in sorted(changed):
            events.chain_paused(chain, is_paused=chain in names)
        if changed:
            self._on_change(names)
