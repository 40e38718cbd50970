"""What the contract of the backend is written with: the backend's shape and small vCons."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, Protocol, TypeVar

import pytest

from vconflow.model.entry import Entry
from vconflow.model.identifiers import new_uuid
from vconflow.model.validation import validate
from vconflow.ports.dead_letters import DeadLetter, DeadLetters
from vconflow.ports.documents import Document, Documents
from vconflow.ports.egress import EgressLists
from vconflow.ports.history import History
from vconflow.ports.intake import Acceptance, Intake, Receipt
from vconflow.ports.ledger import Bury, Commit, CommitResult, Finish, Ledger, Progress, Verdict
from vconflow.ports.stream import EntryStream, ReadRequest

__all__ = [
    "FAR",
    "Backend",
    "BackendFixtures",
    "BackendServer",
    "accept",
    "acceptance",
    "begun",
    "buried",
    "commit",
    "commit_of",
    "dead",
    "document_of",
    "fill",
    "finish",
    "read",
    "read_as",
    "vcon",
]


SortableT = TypeVar("SortableT", str, tuple[str, str], tuple[str, int])

FAR = 4_000_000_000
"""Unix seconds, long after any test."""


class SweptDocuments(Documents, Protocol):
    """Documents that expire."""

    async def sweep(self, now: float, count: int = 500) -> int: ...


class Backend(Protocol):
    """One replica's ports."""

    @property
    def intake(self) -> Intake: ...
    @property
    def documents(self) -> SweptDocuments: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def stream(self) -> EntryStream: ...
    @property
    def egress(self) -> EgressLists: ...
    @property
    def dead_letters(self) -> DeadLetters: ...
    @property
    def history(self) -> History: ...


class BackendServer(Protocol):
    """What replicas share."""

    @property
    def lease(self) -> float:
        """Seconds that leases of replicas and of popped entries last."""
        ...

    def replica(
        self, name: str, *, document_ttl: int = 3600, index_expiry: int = 86400
    ) -> AbstractAsyncContextManager[Backend]:
        """Open a replica; it lets its name go at the end."""
        ...

    async def leave(self, document: bytes) -> None:
        """Put a vCon there as a conserver leaves one: its bytes, and nothing else about it."""
        ...

    async def let_pass(self, seconds: float) -> None:
        """Return when at least that much time has passed for the server."""
        ...


class BackendFixtures:
    """The fixtures of the contract.

    `in_order` says that a list is read first in, first out; else that holds for parts of it.
    """

    in_order: ClassVar[bool] = True

    def ordered(self, items: Iterable[SortableT]) -> list[SortableT]:
        """The items, whose order says nothing unless the backend keeps one."""
        return list(items) if self.in_order else sorted(items)

    @pytest.fixture
    async def server(self) -> BackendServer:
        raise NotImplementedError("override the fixture `server`")

    @pytest.fixture
    async def one(self, server: BackendServer) -> AsyncIterator[Backend]:
        """A replica."""
        async with server.replica("one") as backend:
            yield backend

    @pytest.fixture
    async def two(self, server: BackendServer) -> AsyncIterator[Backend]:
        """Another replica on the same server."""
        async with server.replica("two") as backend:
            yield backend

    @staticmethod
    async def let_lease_pass(server: BackendServer) -> None:
        """Wait until whatever was not renewed is free."""
        await server.let_pass(server.lease * 1.2)


def vcon(uuid: str | None = None, *, tel: str = "+15550100", **members: Any) -> bytes:
    """Return a small vCon of Ann."""
    document = {
        "vcon": "0.0.1",
        "uuid": uuid or new_uuid(),
        "created_at": "2025-03-21T06:59:56+00:00",
        "parties": [{"tel": tel, "mailto": "ann@example.com", "name": "Ann"}],
        "dialog": [],
        **members,
    }
    return json.dumps(document).encode()


def acceptance(document: bytes, *lists: str, expect_rev: int | None = None) -> Acceptance:
    """Return what `Intake.accept` takes."""
    return Acceptance(validate(document), document, lists, expect_rev=expect_rev)


async def accept(backend: Backend, document: bytes, *lists: str) -> Receipt:
    """Accept one vCon."""
    (receipt,) = await backend.intake.accept([acceptance(document, *lists)])
    assert isinstance(receipt, Receipt)
    return receipt


async def fill(backend: Backend, name: str, count: int) -> list[str]:
    """Put new vCons on a list; their uuids in order."""
    documents = [vcon() for _ in range(count)]
    for document in documents:
        await accept(backend, document, name)
    return [validate(document).uuid for document in documents]


async def read(backend: Backend, *lists: str, count: int = 10) -> list[Entry]:
    """Read what is there now."""
    await backend.stream.ensure(lists)
    return await backend.stream.read([ReadRequest(lists, count)], count, 0.0)


async def read_as(backend: Backend, name: str, uuids: Sequence[str]) -> list[Entry]:
    """Read what is there now, in the order of these uuids."""
    found = {entry.uuid: entry for entry in await read(backend, name)}
    return [found[uuid] for uuid in uuids]


async def begun(backend: Backend, document: bytes | None = None) -> tuple[Entry, Document]:
    """Accept a vCon on the list `in` and read it."""
    await accept(backend, document or vcon(), "in")
    (entry,) = await read(backend, "in")
    (found,) = await backend.documents.fetch([entry.uuid])
    return entry, found


def commit_of(entry: Entry, found: Document, **values: Any) -> Commit:
    """Return a commit based on what was found."""
    fields = {"rev": found.rev, "born": found.born, "previous_index": found.index, **values}
    return Commit(entry, fields.pop("uuid", entry.uuid), **fields)


async def commit(backend: Backend, item: Commit) -> CommitResult:
    """Commit one item."""
    (result,) = await backend.ledger.commit([item])
    assert isinstance(result, CommitResult)
    return result


def buried(progress: Progress | None = None) -> Bury:
    """Return a reason to bury an entry."""
    reason = ("link:webhook", "Permanent", "refused: ünïcode", "line 1")
    return Bury(progress or Progress(), "main", *reason)


async def document_of(backend: Backend, uuid: str) -> bytes | None:
    """The bytes that are held of a vCon."""
    (found,) = await backend.documents.fetch([uuid])
    return found.document


async def finish(backend: Backend, entry: Entry, **values: object) -> None:
    """Finish an entry with the document as it is."""
    (found,) = await backend.documents.fetch([entry.uuid])
    result = await commit(backend, commit_of(entry, found, then=Finish(**values)))  # type: ignore[arg-type]  # fields of Finish
    assert result.verdict is Verdict.DONE


async def dead(backend: Backend, count: int = 10, after: str = "") -> list[DeadLetter]:
    """The dead letters of the list `in`."""
    return await backend.dead_letters.browse("in", after=after, count=count)
