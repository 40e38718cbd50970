"""What modules of the reference's contract need of this process."""

from collections.abc import Callable
from typing import Protocol, TypeVar

__all__ = ["ModuleHost", "NoModules"]

ResultT = TypeVar("ResultT")


class ModuleHost(Protocol):
    """Threads that such modules may block, and the vCons that they ask for by uuid."""

    async def call(self, work: Callable[[], ResultT], what: str) -> ResultT:
        """Run `work` in a thread, in a copy of this context; `what` names it in the log.

        When it is cancelled the thread goes on, and counts as stuck until it comes back. Raises
        what `work` raises, Permanent for SystemExit, Retryable while too many threads are stuck.
        """
        ...

    async def get(self, uuid: str) -> bytes | None:
        """The vCon, wherever it is; None when there is no copy. Raises Retryable."""
        ...

    async def save(self, document: bytes) -> str:
        """Validate and store a vCon without putting it on a list; its uuid."""
        ...

    async def enqueue(self, uuid: str, list_name: str) -> bool:
        """Put a stored vCon on a list that a chain reads; whether it was found.

        Raises NotFound for any other list.
        """
        ...


class NoModules:
    """For surroundings in which no such module is run."""

    async def call(self, work: Callable[[], ResultT], what: str) -> ResultT:
        raise RuntimeError(f"{what} cannot be run here")

    async def get(self, uuid: str) -> bytes | None:
        return None

    async def save(self, document: bytes) -> str:
        raise RuntimeError("nothing can be stored here")

    async def enqueue(self, uuid: str, list_name: str) -> bool:
        return False
