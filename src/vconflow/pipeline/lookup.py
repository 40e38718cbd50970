"""Finding a vCon wherever it is: in Redis, else in the storages that can be read."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

import msgspec

from vconflow.errors import InvalidVcon, Retryable, Unavailable
from vconflow.model.validation import validate
from vconflow.pipeline.batcher import Batcher
from vconflow.pipeline.fanout import Fanout
from vconflow.pipeline.outage import PATIENCE
from vconflow.pipeline.removal import remove_copies
from vconflow.ports.documents import Document, Documents

__all__ = ["Deletion", "Lookup", "OutOfReach"]


_SOON = 5.0


class Deletion(msgspec.Struct, frozen=True):
    """What DELETE did: whether anything was there, which storages hold nothing now, and which
    failed and why.
    """

    found: bool
    done: tuple[str, ...]
    failed: dict[str, str]


class OutOfReach(Retryable):
    """The vCon may be in one of `storages`, which cannot be read now."""

    def __init__(self, failures: Mapping[str, Exception]) -> None:
        self.storages = tuple(failures)
        names = ", ".join(failures)
        super().__init__(f"the vCon may be in a storage that cannot be read now: {names}")


class Lookup:
    """Reads through Redis; concurrent misses of one uuid make one storage read."""

    def __init__(
        self, documents: Documents, fanout: Callable[[], Fanout], *, read_storages: bool = True
    ) -> None:
        self._documents = documents
        self._fanout = fanout
        self._read_storages = read_storages
        self._fetches: Batcher[str, Document] = Batcher(
            documents.fetch_some, parallel=2, patience=PATIENCE, partial=True
        )
        self._flights: dict[str, asyncio.Task[bytes | None]] = {}

    async def get(self, uuid: str) -> bytes | None:
        """The document, or None when no copy is left.

        Raises `Retryable` when it may be in a storage that cannot be asked now.
        """
        return await self._or_stored(uuid, await self._fetches.submit(uuid))

    async def revision(self, uuid: str) -> Document:
        """The document with its revision, brought back into Redis if need be."""
        found = await self._fetches.submit(uuid)
        if found.document is None and not found.deleted and await self.get(uuid) is not None:
            found = await self._fetches.submit(uuid)
        return found

    async def bring_back(self, uuid: str) -> None:
        """Have Redis know of a copy that only a storage has, if one can be found soon.

        Raises Unavailable.
        """
        found = await self._fetches.submit(uuid)
        with contextlib.suppress(OutOfReach, TimeoutError):
            async with asyncio.timeout(_SOON):
                await self._or_stored(uuid, found)

    async def delete(self, uuid: str) -> Deletion:
        """Remove a vCon everywhere. Redis goes first, so that no running chain brings it back."""
        try:
            document = await self.get(uuid)
            facts = validate(document) if document is not None else None
        except InvalidVcon:
            facts = None  # written by a conserver, or a link: it goes all the same
        except Retryable as error:
            if isinstance(error, Unavailable):
                raise
            facts = None  # a storage is away: delete what can be reached, and report that one
        found = await self._documents.delete(uuid, facts)
        fanout = self._fanout()
        with fanout.usage:
            removal = await remove_copies(self._documents, fanout, uuid)
        failed = {name: str(error) for name, error in removal.failed.items()}
        done = tuple(name for name in fanout.names if name not in failed)
        return Deletion(found or removal.found, done, failed)

    async def _or_stored(self, uuid: str, found: Document) -> bytes | None:
        if found.document is not None or found.deleted or not self._read_storages:
            return found.document
        flight = self._flights.get(uuid)
        if flight is None:
            flight = asyncio.create_task(self._read(uuid))
            self._flights[uuid] = flight
            flight.add_done_callback(lambda _: self._flights.pop(uuid, None))
        return await asyncio.shield(flight)

    async def _read(self, uuid: str) -> bytes | None:
        errors: Mapping[str, Exception]
        fanout = self._fanout()
        holders = await self._documents.stored_at(uuid)
        with fanout.usage:
            document, errors = await fanout.get(uuid, holders)
        if document is not None:
            await self._documents.recache(uuid, document)
            return document
        if errors:
            raise OutOfReach(errors)
        await self._documents.forget(uuid)
        return None
