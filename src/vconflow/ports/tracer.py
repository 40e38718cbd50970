"""Who is told of a vCon's way through its chain, step by step: an audit trail outside."""

from typing import Protocol

import msgspec

__all__ = ["Passage", "Tracer"]


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """One moment on the way: before the first link of a chain, or after one of its links.

    `link` has just run, empty before the first; `next_link` comes next, empty when none does: the
    last one has run, or one has ended the chain. `in_uuid` is the vCon as it went into `link`,
    `out_uuid` the one that came out, another only when the link replaced it. `document` is what
    came out; `before` what went in, None when a retry or another replica goes on from here.
    """

    chain: str
    link: str
    next_link: str
    in_uuid: str
    out_uuid: str
    document: bytes
    before: bytes | None = None


class Tracer(Protocol):
    """Is told of every passage, at least once and in the order of the links.

    The engine (`pipeline/tracers.py`) owns time limits, retries, breakers, metrics and logs. It
    raises `Retryable` or `Permanent`, as links do.
    """

    required: bool
    """Whether a vCon fails when it cannot be traced; else that is only counted and logged."""

    async def trace(self, passage: Passage) -> None:
        """Take note of it. Repeats happen after a retry or a crash."""
        ...

    async def ping(self) -> None:
        """Return when it could take note now; raise what hinders it."""
        ...
