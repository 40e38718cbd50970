"""One step of a chain."""

from dataclasses import dataclass, field
from typing import Protocol

from vconflow.model.vcon import Vcon

__all__ = ["CONTINUE", "Continue", "Halt", "Link", "LinkRun", "Outcome", "Replace", "Route"]


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
    expire_seconds: int | None = field(default=None, init=False)

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this link on this entry: receivers can drop repeats."""
        return f"{self.list}:{self.entry}:{self.link}"

    async def keep(self) -> None:
        """Write the vCon as it is now, so that a crash does not repeat what led to it."""

    def expire(self, seconds: int) -> None:
        """Let the document expire from Redis that many seconds after this chain has finished."""
        self.expire_seconds = seconds


class Link(Protocol):
    """Reads and changes the vCon in memory; the engine stores, retries, times and logs it.

    Raises `Retryable` or `Permanent`; any other exception counts as retryable, since most bugs of
    a moment (a full disk, a broken peer) look like that, and attempts are limited.
    """

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome: ...
