"""Committing a run, following a document that others change meanwhile."""

from collections.abc import Awaitable, Callable, Sequence
from typing import ParamSpec, TypeVar

import msgspec

from vconflow.errors import Unavailable
from vconflow.model.entry import Entry
from vconflow.model.merge import merge
from vconflow.pipeline.batcher import Batcher
from vconflow.pipeline.fanout import Fanout
from vconflow.pipeline.owned import Key
from vconflow.pipeline.removal import remove_copies
from vconflow.pipeline.run import Run
from vconflow.pipeline.run_record import record_of
from vconflow.ports.clock import Clock
from vconflow.ports.documents import Document, Documents
from vconflow.ports.ledger import (
    Bury,
    Commit,
    CommitResult,
    Defer,
    Finish,
    Ledger,
    Progress,
    Verdict,
)

__all__ = ["ROUNDS", "Commits", "Conflicted", "Deleted", "Lost"]

ROUNDS = 10
"""How often one attempt follows a document that others keep changing."""

_LONGEST_WAIT = 2.0

ResultT = TypeVar("ResultT")
GivenP = ParamSpec("GivenP")


class Lost(Exception):
    """Another replica owns the entry."""


class Deleted(Exception):
    """The vCon was deleted while its chain was running."""


class Conflicted(Exception):
    """Our changes and somebody else's contradict each other: the links must run again."""


class _UnderWay:
    """A key is among others meanwhile. A generator would cost every commit three times as much."""

    __slots__ = ("_key", "_keys")

    def __init__(self, keys: set[Key], key: Key) -> None:
        self._keys = keys
        self._key = key

    def __enter__(self) -> None:
        self._keys.add(self._key)

    def __exit__(self, *_: object) -> None:
        self._keys.discard(self._key)


class Commits:
    """Fetches and commits of all runs of a replica, gathered into batches.

    While Redis is away they wait: what was done is not thrown away, and the lease decides whether
    the entry is still ours afterwards.
    """

    def __init__(self, documents: Documents, ledger: Ledger, clock: Clock) -> None:
        self._clock = clock
        self._documents = documents
        self._under_way: set[Key] = set()
        self._fetches: Batcher[str, Document] = Batcher(documents.fetch, parallel=2)
        self._commits: Batcher[Commit, CommitResult] = Batcher(
            ledger.commit, size_of=lambda commit: len(commit.document or b""), parallel=2
        )

    async def fetch(self, uuid: str) -> Document:
        """The document as Redis has it now. Raises Deleted."""
        found = await self._patiently(self._fetches.submit, uuid)
        if found.deleted:
            raise Deleted
        return found

    async def remove_copies(
        self, uuid: str, fanout: Fanout, names: Sequence[str]
    ) -> dict[str, Exception]:
        """Remove what storages hold of a deleted vCon; failures by storage."""
        removal = await self._patiently(remove_copies, self._documents, fanout, uuid, names)
        return removal.failed

    async def commit(self, run: Run, then: Finish | Defer | Bury | None) -> None:
        """Commit, merging with what others wrote. Raises Lost, Deleted, Conflicted."""
        for _ in range(ROUNDS):
            if await self.try_commit(run, then):
                return
            await self._merge(run)
        raise Conflicted

    async def try_commit(
        self, run: Run, then: Finish | Defer | Bury | None, *, check: bool = False
    ) -> bool:
        """Whether it was done; False when the document has another revision by now."""
        commit = run.commit(then, check=check, record=record_of(run, then))
        with self.under_way(run.entry):
            result = await self._patiently(self._commits.submit, commit)
        match result.verdict:
            case Verdict.DONE:
                run.written(result.rev)
                return True
            case Verdict.MOVED:
                return False
            case Verdict.LOST:
                raise Lost
            case Verdict.DELETED:
                raise Deleted

    async def unpark(self, entry: Entry, progress: Progress) -> Progress:
        """Note that an entry at rest runs: from now on the end of its replica is a crash of it."""
        running = msgspec.structs.replace(progress, parked=(), due=0)
        commit = Commit(entry, entry.uuid, then=Defer(running))
        result = await self._patiently(self._commits.submit, commit)
        if result.verdict is Verdict.LOST:
            raise Lost
        # One of a deleted vCon has no record; it only has to clean up.
        return running

    def under_way(self, entry: Entry) -> "_UnderWay":
        """While something is done that must be followed by a verdict on whose entry it is."""
        return _UnderWay(self._under_way, (entry.list, entry.id))

    def is_under_way(self, list_name: str, entry: str) -> bool:
        """Whether a commit or a storage write of the entry is under way: its verdict will come."""
        return (list_name, entry) in self._under_way

    async def drain(self) -> None:
        """Wait until nothing is under way."""
        await self._commits.drain()
        await self._fetches.drain()

    async def _merge(self, run: Run) -> None:
        found = await self.fetch(run.uuid)
        merged = found.document and merge(run.base, run.safe, found.document)
        if not found.document or merged is None:
            raise Conflicted
        run.rebase(found, found.document, merged)

    async def _patiently(
        self,
        call: Callable[GivenP, Awaitable[ResultT]],
        *args: GivenP.args,
        **kwargs: GivenP.kwargs,
    ) -> ResultT:
        wait = 0.05
        while True:
            try:
                return await call(*args, **kwargs)
            except Unavailable:
                await self._clock.sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
