"""Sending many vCons at once: the engine of `vconflow submit` and of the demo."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from vconflow.cli.sources import Found
from vconflow.client import Client, GaveUp, Rejected

__all__ = ["Observer", "Rejection", "Tally", "submit_all"]

_BATCH_BYTES: Final = 1024 * 1024
_BATCH_VCONS: Final = 64
_REMEMBERED_REASONS: Final = 100


class Rejection(NamedTuple):
    """A vCon that was not taken. `status` is 0 when it was not even sent."""

    place: str
    status: int
    detail: str


@dataclass
class Tally:
    """What became of the vCons so far. `first` is where each reason was met first."""

    accepted: int = 0
    rejected: int = 0
    reasons: Counter[tuple[int, str]] = field(default_factory=Counter)
    first: dict[tuple[int, str], str] = field(default_factory=dict)

    def reject(self, rejection: Rejection) -> None:
        """Count a rejection by its reason; only so many reasons are told apart."""
        self.rejected += 1
        reason = (rejection.status, rejection.detail)
        if reason not in self.reasons and len(self.reasons) >= _REMEMBERED_REASONS:
            reason = (0, "other reasons")
        self.reasons[reason] += 1
        self.first.setdefault(reason, rejection.place)


class Observer(Protocol):
    """Is told how it goes."""

    def done(self, found: Found, tally: Tally, rejection: Rejection | None) -> None: ...


async def submit_all(
    client: Client,
    documents: Iterable[Found],
    list_name: str,
    *,
    concurrency: int,
    tally: Tally,
    observer: Observer,
) -> None:
    """Send every vCon, `concurrency` at a time, reading no further ahead than needed.

    Raises GaveUp when nothing more can be sent; `tally` then says how far it came.
    """

    async def work(found_ones: MemoryObjectReceiveStream[Found]) -> None:
        async with found_ones:
            async for found in found_ones:
                rejection = await _submit(client, found, list_name)
                if rejection is None:
                    tally.accepted += 1
                else:
                    tally.reject(rejection)
                observer.done(found, tally, rejection)

    send, receive = anyio.create_memory_object_stream[Found]()
    try:
        async with asyncio.TaskGroup() as group, receive:
            for _ in range(concurrency):
                group.create_task(work(receive.clone()))
            group.create_task(_feed(iter(documents), send))
    except ExceptionGroup as failures:
        gave_up = failures.subgroup(GaveUp)
        raise gave_up.exceptions[0] if gave_up is not None else failures from None


async def _submit(client: Client, found: Found, list_name: str) -> Rejection | None:
    if found.problem:
        return Rejection(found.place, 0, found.problem)
    try:
        await client.submit(found.document, list_name)
    except Rejected as error:
        return Rejection(found.place, error.status, error.detail)
    return None


async def _feed(documents: Iterator[Found], send: MemoryObjectSendStream[Found]) -> None:
    async with send:
        while batch := await asyncio.to_thread(_next_batch, documents):
            for found in batch:
                await send.send(found)


def _next_batch(documents: Iterator[Found]) -> list[Found]:
    """Read some: a thread for every single line would cost more than the reading."""
    batch: list[Found] = []
    size = 0
    for found in itertools.islice(documents, _BATCH_VCONS):
        batch.append(found)
        size += len(found.document)
        if size >= _BATCH_BYTES:
            break
    return batch
