"""From received bytes to an accepted vCon."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any

import msgspec

from vconflow.errors import InvalidVcon, NotFound, Problem
from vconflow.model.validation import Facts, validate
from vconflow.pipeline.batcher import Batcher
from vconflow.pipeline.chain import Chains
from vconflow.pipeline.idempotency import idempotency_of
from vconflow.pipeline.lookup import Lookup
from vconflow.pipeline.outage import PATIENCE
from vconflow.ports.intake import (
    IN_A_ROW,
    Acceptance,
    Enqueuing,
    Idempotency,
    Intake,
    Ownership,
    Receipt,
)
from vconflow.telemetry import events

__all__ = ["Accepted", "Ingest"]

_LARGE = 256 * 1024
"""Bytes from which validation leaves the event loop: it would hold up everybody else."""

_MAX_WAITING_BYTES = 128 * 1024 * 1024
_ENQUEUE_CHUNK = 256


class Accepted(msgspec.Struct, frozen=True):
    """What a 2xx promises: this revision is stored and on its way."""

    uuid: str
    rev: int


class _Submitted:
    """A vCon on its way to be stored. No coroutine, so that nobody has to await it."""

    __slots__ = ("_item", "_written")

    def __init__(self, item: Acceptance, written: asyncio.Future[Receipt]) -> None:
        self._item = item
        self._written = written

    def __await__(self) -> Generator[Any, None, Accepted]:
        receipt = yield from self._written.__await__()
        item = self._item
        if not receipt.repeated:
            for name in item.lists:
                events.accepted(name, item.source)
        return Accepted(item.facts.uuid, receipt.rev)


class Ingest:
    """The only way in, for HTTP, bulk loads and links alike."""

    def __init__(self, intake: Intake, lookup: Lookup, chains: Callable[[], Chains]) -> None:
        self._intake = intake
        self._lookup = lookup
        self._chains = chains
        self._batcher: Batcher[Acceptance, Receipt] = Batcher(
            intake.accept,
            size_of=lambda item: len(item.document),
            max_waiting_bytes=_MAX_WAITING_BYTES,
            # Redis works on one batch while another is on its way to it.
            parallel=2,
            level=True,
            key_of=_turn_of,
            patience=PATIENCE,
        )

    async def accept(
        self,
        document: bytes,
        lists: tuple[str, ...] = (),
        *,
        source: str = "http",
        owner: str = "",
        trace: str = "",
        expect_uuid: str | None = None,
        expect_rev: int | None = None,
        idempotency_key: str = "",
        exclusive: bool = False,
    ) -> Accepted:
        """Validate and store a vCon and put it on `lists`, in one atomic step.

        `expect_uuid` refuses a body with another uuid, `expect_rev` a document with another
        revision, `exclusive` a vCon that another owner has stored. What was accepted under an
        `idempotency_key` of this owner is not accepted once more. Raises InvalidVcon, NotFound for
        a list no chain reads, Conflict, RevisionMismatch, Overloaded, Unavailable.
        """
        submitted = await self.submit(
            document,
            lists,
            source=source,
            owner=owner,
            trace=trace,
            expect_uuid=expect_uuid,
            expect_rev=expect_rev,
            idempotency_key=idempotency_key,
            exclusive=exclusive,
        )
        return await submitted

    async def submit(
        self,
        document: bytes,
        lists: tuple[str, ...] = (),
        *,
        source: str = "http",
        owner: str = "",
        trace: str = "",
        expect_uuid: str | None = None,
        expect_rev: int | None = None,
        idempotency_key: str = "",
        exclusive: bool = False,
    ) -> Awaitable[Accepted]:
        """Do as `accept`, but return once the vCon has its place: await the rest when you like.

        What is submitted one after the other is stored in this order, as far as it is of one uuid
        or of a source that brings many. Raises InvalidVcon, NotFound and Overloaded.
        """
        unread = self._unread(lists)
        if unread is not None and not idempotency_key:
            raise unread
        facts = _validated(document)
        if facts is None:
            facts = await asyncio.to_thread(validate, document)
        if expect_uuid is not None and facts.uuid != expect_uuid:
            problem = Problem(("uuid",), "is not the uuid of the address", "uuid_mismatch")
            raise InvalidVcon([problem])
        ownership = Ownership.EXCLUSIVE if exclusive else Ownership.TAKE
        marks = None
        if idempotency_key:
            matters = (source, lists, expect_rev, exclusive)
            marks = await self._digest(owner, idempotency_key, *matters, body=document)
        if unread is not None:
            return asyncio.ensure_future(self._accepted_before(facts.uuid, marks, unread))
        if exclusive:
            # A copy that only a storage has is somebody's too.
            await self._lookup.bring_back(facts.uuid)
        item = Acceptance(
            facts, document, lists, source, owner, trace, expect_rev, ownership, marks
        )
        return _Submitted(item, self._batcher.submit(item))

    async def _accepted_before(
        self, uuid: str, marks: Idempotency | None, unread: NotFound
    ) -> Accepted:
        """What the same request got before its list left the configuration, or raise `unread`."""
        before = await self._intake.recall(marks) if marks else None
        if before is None:
            raise unread
        return Accepted(uuid, before.rev)

    async def save(self, document: bytes) -> str:
        """Store a vCon that a link made, without putting it on a list; its uuid.

        One that is there already keeps its owner.
        """
        facts = _validated(document)
        if facts is None:
            facts = await asyncio.to_thread(validate, document)
        item = Acceptance(facts, document, source="link", ownership=Ownership.KEEP)
        await self._batcher.submit(item)
        return facts.uuid

    async def enqueue(
        self,
        uuids: Sequence[str],
        list_name: str,
        *,
        owner: str = "",
        trace: str = "",
        idempotency_key: str = "",
    ) -> int:
        """Put stored vCons on a list; how many were found nowhere and skipped.

        With an `idempotency_key` each is put there once, however often it is asked for. Raises
        NotFound for a list no chain reads, Conflict for a key of another request, Retryable.
        """
        unread = self._unread((list_name,))
        if unread is not None and not (idempotency_key and uuids):
            raise unread
        skipped = 0
        for start in range(0, len(uuids), _ENQUEUE_CHUNK):
            marks = None
            if idempotency_key:
                # The first chunk tells that the key belongs to another request, whatever it is.
                key = f"{idempotency_key}\n{start}" if start else idempotency_key
                marks = await self._digest(owner, key, "enqueue", uuids, list_name)
            chunk = uuids[start : start + _ENQUEUE_CHUNK]
            if unread is not None:
                skipped += await self._skipped_before(marks, unread)
                continue
            order = Enqueuing(chunk, list_name, "http", owner, trace, marks, final=False)
            skipped += await self._enqueue_chunk(order)
        if skipped and unread is None:
            events.enqueue_skipped(list_name, skipped)
        return skipped

    async def _enqueue_chunk(self, order: Enqueuing) -> int:
        first = await self._intake.enqueue(order)
        if first.repeated:
            return first.found.count(False)
        missing = [uuid for uuid, there in zip(order.uuids, first.found, strict=True) if not there]
        # The storages may still have them; a lookup puts them back into Redis.
        restored = [uuid for uuid in missing if await self._lookup.get(uuid) is not None]
        skipped = len(missing)
        if order.idempotency and missing:
            again = await self._intake.enqueue(msgspec.structs.replace(order, final=True))
            skipped = again.found.count(False)
        elif restored:
            again = await self._intake.enqueue(msgspec.structs.replace(order, uuids=restored))
            skipped -= sum(again.found)
        events.accepted(order.list, "http", len(order.uuids) - skipped)
        return skipped

    async def _skipped_before(self, marks: Idempotency | None, unread: NotFound) -> int:
        """How many the same request skipped before its list left the configuration."""
        before = await self._intake.recall_enqueued(marks) if marks else None
        if before is None:
            raise unread
        return before.found.count(False)

    async def drain(self) -> None:
        """Wait until nothing is being written."""
        await self._batcher.drain()

    def _unread(self, lists: Sequence[str]) -> NotFound | None:
        """What to say of the first list that no chain reads."""
        known = self._chains().by_list
        for name in lists:
            if name not in known:
                return NotFound(f"Ingress list '{name}' is not configured")
        return None

    @staticmethod
    async def _digest(
        owner: str, key: str, *matters: object, body: bytes = b""
    ) -> Idempotency | None:
        if len(body) < _LARGE:
            return idempotency_of(owner, key, *matters, body=body)
        return await asyncio.to_thread(idempotency_of, owner, key, *matters, body=body)


def _turn_of(item: Acceptance) -> str:
    """What is never on its way to Redis in two batches, so that it stays in order."""
    return item.source if item.source in IN_A_ROW else item.facts.uuid


def _validated(document: bytes) -> Facts | None:
    """Check a vCon; None for one that would hold up the event loop. Raises InvalidVcon."""
    if len(document) >= _LARGE:
        return None
    try:
        return validate(document, unpack=_LARGE)
    except InvalidVcon as error:
        # A signed payload may be packed, and unfold to a thousand times its size.
        if error.problems[0].type != "too_large":
            raise
        return None
