"""One step of a chain."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from vconflow.model.vcon import Vcon

__all__ = ["CONTINUE", "Continue", "Halt", "Link", "LinkRun", "Outcome", "Replace", "Route"]

_LONGEST_EXPIRY = 100 * 365 * 24 * 3600


@dataclass(frozen=True)
class Continue:
    """Go on with the next link."""


@dataclass(frozen=True)
class Halt:
    """Stop here: no further link, no storage, no egress. The vCon so far is kept in Redis."""

    reason: str


@dataclass(frozen=True)
class Replace:
    """Go on with another vCon that is already stored in vconflow."""

    uuid: str


@dataclass(frozen=True)
class Route:
    """Put the vCon on further lists when this chain finishes; halt here unless `go_on`."""

    lists: tuple[str, ...]
    go_on: bool = True


Outcome = Continue | Halt | Replace | Route

CONTINUE = Continue()


@dataclass
class LinkRun:
    """Where and for which attempt a link runs, and what it asks for besides its outcome."""

    link: str
    chain: str
    list: str
    entry: str
    attempt: int = 1
    keeper: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)
    expire_seconds: int | None = field(default=None, init=False)

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this link on this entry: receivers can drop repeats."""
        return f"{self.list}:{self.entry}:{self.link}"

    def expire(self, seconds: int) -> None:
        """Let the document expire from Redis that many seconds after this chain has finished.

        More than a hundred years, which Redis could not count some day, are taken for a hundred.
        """
        self.expire_seconds = int(min(seconds, _LONGEST_EXPIRY))

    async def keep(self) -> None:
        """Write the vCon as it is by now, so that a crash does not take back what was paid for.

        For links that are `paid` and make more than one call: after each result. What is kept also
        outlives a failure of the link, whose next attempt finds it in the vCon. Elsewhere, and
        while somebody else changes the vCon, it is kept when the link is done. Raises Unavailable
        when the vCon was deleted meanwhile, or is not ours any more.
        """
        if self.keeper is not None:
            await self.keeper()


class Link(Protocol):
    """Reads and changes the vCon in memory; the engine stores, retries, times and logs it.

    Raises `Retryable` or `Permanent`; any other exception counts as retryable, since most bugs of
    a moment (a full disk, a broken peer) look like that, and attempts are limited.
    """

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome: ...
