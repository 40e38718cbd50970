"""Looking at chains, and stopping and starting what they read."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

__all__ = [
    "ChainControl",
    "ChainDescription",
    "ChainLink",
    "ChainStatus",
    "ChainSwitch",
    "ListStatus",
    "NoSwitch",
]


class ChainLink(msgspec.Struct, frozen=True):
    """One link of a chain: its configured name and its module as it is written there."""

    name: str
    module: str


class ListStatus(msgspec.Struct, frozen=True):
    """How full a list is, over all replicas.

    `depth` are entries that nobody has taken, `pending` those taken and not finished;
    `oldest_seconds` is the age of the oldest unfinished entry, 0 when there is none.
    """

    depth: int
    pending: int
    dead: int
    oldest_seconds: float


class ChainDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One chain as it is configured.

    `held` says why an enabled chain does not run, None when it does.
    """

    name: str
    enabled: bool
    links: tuple[ChainLink, ...]
    storages: tuple[str, ...]
    tracers: tuple[str, ...] = ()
    ingress_lists: tuple[str, ...]
    egress_lists: tuple[str, ...]
    held: str | None = None


class ChainStatus(ChainDescription, frozen=True, kw_only=True):
    """One configured chain, and how it does.

    `lists` has every ingress
    list of the chain; `depth`, `pending`, `dead` and `oldest_seconds` sum them up (the last one is
    their maximum). `depth`, `pending`, `dead`, `paused` and the lists are the same on all replicas.

    `in_flight`, `retrying` and `rate` are those of the answering replica alone, whose name is
    `replica`: entries being worked on, entries that wait for a retry or for what is down, and
    entries finished per second over the last minute. Say so where they are shown.
    """

    paused: bool
    lists: dict[str, ListStatus]
    depth: int
    oldest_seconds: float
    pending: int
    dead: int
    in_flight: int
    retrying: int
    rate: float
    replica: str


class ChainControl(Protocol):
    """What the API is given. Chains are those of the configuration in force."""

    async def chains(self) -> Sequence[ChainStatus]:
        """Every configured chain, in configured order. Raises Unavailable."""
        ...

    async def chain(self, name: str) -> ChainStatus:
        """One chain. Raises NotFound, Unavailable."""
        ...

    async def pause(self, name: str) -> None:
        """Stop reading its lists on every replica until `resume`, restarts included.

        What is in flight finishes, and its lists go on accepting. Pausing a paused chain changes
        nothing. This replica has stopped reading when it returns, the others have a few
        milliseconds later, or some seconds when the message was lost. Raises NotFound, Unavailable.
        """
        ...

    async def resume(self, name: str) -> None:
        """Read its lists again, on every replica. Raises NotFound, Unavailable."""
        ...


class ChainSwitch(Protocol):
    """Which chains are paused, for all replicas alike."""

    async def paused(self) -> frozenset[str]:
        """The names of all paused chains. Raises Unavailable."""
        ...

    async def pause(self, chain: str) -> None:
        """Pause a chain and announce it. Raises Unavailable."""
        ...

    async def resume(self, chain: str) -> None:
        """Let a chain go on and announce it. Raises Unavailable."""
        ...

    async def listen(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever a change is announced, for ever. An announcement may be lost."""
        ...


class NoSwitch:
    """For replicas that nobody pauses."""

    async def paused(self) -> frozenset[str]:
        """See `ChainSwitch.paused`."""
        return frozenset()

    async def pause(self, chain: str) -> None:
        """See `ChainSwitch.pause`."""

    async def resume(self, chain: str) -> None:
        """See `ChainSwitch.resume`."""

    async def listen(self, changed: Callable[[], None]) -> None:
        """See `ChainSwitch.listen`."""
        await asyncio.Event().wait()
