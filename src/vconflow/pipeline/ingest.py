"""From received bytes to an accepted vCon."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from vconflow.errors import InvalidVcon, NotFound, Problem
from vconflow.model.validation import Facts, validate
from vconflow.pipeline.batcher import Batcher
from vconflow.pipeline.chain import Chains
from vconflow.pipeline.lookup import Lookup
from vconflow.pipeline.outage import PATIENCE
from vconflow.ports.intake import Acceptance, Intake, Receipt
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
    ) -> Accepted:
        """Validate and store a vCon and put it on `lists`, in one atomic step.

        `expect_uuid` refuses a body with another uuid, `expect_rev` a document with another
        revision. Raises InvalidVcon, NotFound for a list no chain reads, RevisionMismatch,
        Overloaded, Unavailable.
        """
        self._require_lists(lists)
        facts = await self._validate(document)
        if expect_uuid is not None and facts.uuid != expect_uuid:
            problem = Problem(("uuid",), "is not the uuid of the address", "uuid_mismatch")
            raise InvalidVcon([problem])
        receipt = await self._batcher.submit(
            Acceptance(facts, document, lists, source, owner, trace, expect_rev)
        )
        for name in lists:
            events.accepted(name, source)
        return Accepted(facts.uuid, receipt.rev)

    async def save(self, document: bytes) -> str:
        """Store a vCon that a link made, without putting it on a list; its uuid."""
        return (await self.accept(document, source="link")).uuid

    async def enqueue(self, uuids: Sequence[str], list_name: str) -> int:
        """Put stored vCons on a list; how many were found nowhere and skipped."""
        self._require_lists((list_name,))
        skipped = 0
        for start in range(0, len(uuids), _ENQUEUE_CHUNK):
            skipped += await self._enqueue_chunk(uuids[start : start + _ENQUEUE_CHUNK], list_name)
        if skipped:
            events.enqueue_skipped(list_name, skipped)
        return skipped

    async def _enqueue_chunk(self, uuids: Sequence[str], list_name: str) -> int:
        found = await self._intake.enqueue(uuids, list_name, "http")
        missing = [uuid for uuid, there in zip(uuids, found, strict=True) if not there]
        # The storages may still have them; a lookup puts them back into Redis.
        restored = [uuid for uuid in missing if await self._lookup.get(uuid) is not None]
        again = await self._intake.enqueue(restored, list_name, "http") if restored else []
        accepted = len(uuids) - len(missing) + sum(again)
        events.accepted(list_name, "http", accepted)
        return len(uuids) - accepted

    async def drain(self) -> None:
        """Wait until nothing is being written."""
        await self._batcher.drain()

    def _require_lists(self, lists: Sequence[str]) -> None:
        known = self._chains().by_list
        for name in lists:
            if name not in known:
                raise NotFound(f"Ingress list '{name}' is not configured")

    @staticmethod
    async def _validate(document: bytes) -> Facts:
        if len(document) < _LARGE:
            return validate(document)
        return await asyncio.to_thread(validate, document)
