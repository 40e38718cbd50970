"""Where finished vCons are kept."""

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, Protocol, TypeGuard

from vconflow.model.entry import StoredVcon

__all__ = ["ReadableStorage", "Recall", "Storage", "is_readable"]

Recall = Callable[[str], Awaitable[bytes | None]]
"""Gives a vCon by its uuid, though not as it was written. A storage may have such a `recall`: GET
asks it when nothing that is readable has the vCon; nothing expires from Redis on account of it. Nor
does it on account of a readable one that says `forgets`."""


class Storage(Protocol):
    """A place that takes batches of vCons.

    The engine (`pipeline/fanout.py`) owns time-outs, retries, batching, metrics and logs: an
    implementation holds none of that. It raises `Retryable` or `Permanent` for a batch that
    failed whole, `PartialFailure` for one that failed in part, and never swallows an error.
    """

    readable: ClassVar[bool]
    """Whether `get` returns the exact bytes that were put (then this is a `ReadableStorage`)."""

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        """Store a batch: at least one vCon, every uuid at most once.

        Idempotent: redelivery happens. A storage that can tell keeps the newer `rev`.
        """
        ...

    async def delete(self, uuid: str) -> bool:
        """Remove every copy of the vCon; whether there was one."""
        ...

    async def ping(self) -> None:
        """Return when the storage could take a batch now; raise what hinders it."""
        ...


class ReadableStorage(Storage, Protocol):
    """A storage that vconflow may read back: a document in Redis may expire once it is here."""

    async def get(self, uuid: str) -> bytes | None:
        """The exact bytes last put, or None when the storage holds no such vCon."""
        ...


def is_readable(storage: Storage) -> TypeGuard[ReadableStorage]:
    """Whether it gives back what it was given: that is what `readable` promises."""
    return storage.readable
