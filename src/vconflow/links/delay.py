"""Delay: wait before the chain goes on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, ClassVar, Self

from msgspec import Meta

from vconflow.model.vcon import Vcon
from vconflow.ports.component import Options, Resources
from vconflow.ports.link import CONTINUE, LinkRun, Outcome

__all__ = ["DelayLink", "DelayOptions"]


class DelayOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the link `delay`."""

    seconds: Annotated[
        float,
        Meta(
            ge=0, description="How long each vCon waits; it takes a place in its chain meanwhile."
        ),
    ] = 5


class DelayLink:
    """Sleeps; other vCons of the chain go on meanwhile."""

    options: ClassVar[type[Options]] = DelayOptions

    def __init__(self, options: DelayOptions, resources: Resources) -> None:
        self._seconds = options.seconds
        self._clock = resources.clock

    @property
    def planned_seconds(self) -> float:
        """How long it means to take: the engine's time-out starts after that."""
        return self._seconds

    @classmethod
    @asynccontextmanager
    async def open(cls, options: DelayOptions, resources: Resources) -> AsyncIterator[Self]:
        """Open the link on the process's clock."""
        yield cls(options, resources)

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        """Wait."""
        await self._clock.sleep(self._seconds)
        return CONTINUE
