"""One page of ids that were pulled: each vCon is fetched and stored, or it is said why not."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

from vconflow.errors import Conflict, InvalidVcon, NotFound, Permanent, Retryable
from vconflow.model.identifiers import canonical_uuid
from vconflow.ports.clock import Clock
from vconflow.ports.follow import Follow, Handed, Parked, Remote

__all__ = ["Accepting", "Page", "settle_page"]

_AT_ONCE = 8
"""Documents that are fetched at the same time, and as many as may fail before any was had."""
_LONGEST_ERROR = 500


class Accepting(Protocol):
    """The way in, as far as a follower needs it."""

    async def accept(
        self,
        document: bytes,
        lists: tuple[str, ...] = (),
        *,
        source: str = "http",
        owner: str = "",
        expect_uuid: str | None = None,
        idempotency_key: str = "",
    ) -> object:
        """See `Ingest.accept`."""
        ...


@dataclass
class Page:
    """What became of the ids.

    `again` could not be had for now, though the other side answers. The rest was not tried when
    `stopped` says that it asks for a pause or that we can store nothing, or when `barren` says that
    none of the first could be had: it may be away, or they are at fault themselves.
    """

    done: list[Handed] = field(default_factory=list)
    again: list[Handed] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    stopped: Retryable | None = None
    barren: Retryable | None = None


async def settle_page(
    follow: Follow, due: Sequence[Handed], remote: Remote, ingest: Accepting, clock: Clock
) -> Page:
    """Fetch and store the vCons of these ids, some at a time, beginning in their order.

    A vCon that came out more than once is fetched by one after the other: each time as it is then,
    so that a slow answer never overwrites a newer one.
    """
    work = _Work(follow, remote, ingest, clock)
    vcons = _by_vcon(due)
    waiting = iter(vcons)
    await asyncio.gather(*(work.through(waiting) for _ in range(min(_AT_ONCE, len(vcons)))))
    return work.page


def _by_vcon(due: Sequence[Handed]) -> list[list[Handed]]:
    vcons: dict[str, list[Handed]] = {}
    for handed in due:
        vcons.setdefault(_spelled_alike(handed.uuid), []).append(handed)
    return list(vcons.values())


def _spelled_alike(uuid: str) -> str:
    try:
        return canonical_uuid(uuid)
    except ValueError:
        return uuid  # parked when its turn comes


class _Work:
    def __init__(self, follow: Follow, remote: Remote, ingest: Accepting, clock: Clock) -> None:
        self.page = Page()
        self._follow = follow
        self._remote = remote
        self._ingest = ingest
        self._clock = clock

    async def through(self, waiting: Iterator[Sequence[Handed]]) -> None:
        for handed in chain.from_iterable(waiting):
            await self._settle(handed)
            if self.page.stopped or self.page.barren:
                return

    async def _settle(self, handed: Handed) -> None:
        try:
            uuid = canonical_uuid(handed.uuid)
        except ValueError:
            return self._park(handed, "not_a_uuid", "the other side named something else")
        try:
            document = await self._remote.document(uuid)
        except Retryable as error:
            return self._failed(handed, error)
        except Permanent as error:
            return self._park(handed, "refused", str(error))
        if document is None:
            return self._park(handed, "gone", "the other side has this vCon no more")
        return await self._store(handed, uuid, document)

    async def _store(self, handed: Handed, uuid: str, document: bytes) -> None:
        name = self._follow.name
        try:
            await self._ingest.accept(
                document,
                (self._follow.into,),
                source="follow",
                owner=f"follower:{name}",
                expect_uuid=uuid,
                idempotency_key=f"follow:{name}:{handed.entry}",
            )
        except InvalidVcon as error:
            self._park(handed, "invalid", str(error))
        except Conflict:
            # It was stored before a crash, and has changed over there since.
            self.page.done.append(handed)
        except (NotFound, Retryable, Permanent) as error:
            # The list was taken out of the configuration, or Redis is away: it is not the vCon.
            stopped = error if isinstance(error, Retryable) else Retryable(str(error))
            self.page.stopped = self.page.stopped or stopped
        else:
            self.page.done.append(handed)

    def _failed(self, handed: Handed, error: Retryable) -> None:
        page = self.page
        page.again.append(handed)
        if error.retry_after:
            page.stopped = page.stopped or error
        elif not page.done and not page.parked and len(page.again) >= _AT_ONCE:
            page.barren = error

    def _park(self, handed: Handed, reason: str, error: str) -> None:
        told = error[:_LONGEST_ERROR]
        self.page.parked.append(Parked(handed.entry, handed.uuid, reason, told, self._clock.now()))
