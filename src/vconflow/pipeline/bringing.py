"""Fetching the documents of entries that were read, while the next ones are read already."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from vconflow.errors import Permanent, Unavailable
from vconflow.model.entry import Entry
from vconflow.pipeline.consumer import Consumer
from vconflow.ports.documents import Document, Documents

__all__ = ["Bringer"]

_Fetch: TypeAlias = "asyncio.Task[Mapping[str, Document]]"


class Bringer:
    """Gives the consumer entries with their documents, in the order in which they were read."""

    def __init__(self, documents: Documents, consumer: Consumer, tasks: asyncio.TaskGroup) -> None:
        self._documents = documents
        self._consumer = consumer
        self._tasks = tasks
        self._coming: deque[tuple[Sequence[Entry], _Fetch]] = deque()
        self._work: asyncio.Task[None] | None = None

    def bring(self, entries: Sequence[Entry]) -> None:
        """Have these begun; they are owned from now on."""
        if not entries:
            return
        self._consumer.expect(entries)
        self._coming.append((entries, self._tasks.create_task(self._fetch(entries))))
        if self._work is None:
            self._work = self._tasks.create_task(self._bring())

    async def done(self) -> None:
        """Wait until all have been given on."""
        if self._work is not None:
            await asyncio.wait([self._work])

    async def _bring(self) -> None:
        try:
            while self._coming:
                entries, fetch = self._coming[0]
                found = await fetch
                self._coming.popleft()
                self._consumer.begin(entries, found)
        finally:
            self._work = None

    async def _fetch(self, entries: Sequence[Entry]) -> Mapping[str, Document]:
        """Their documents by uuid, in one go."""
        uuids = list(dict.fromkeys([entry.uuid for entry in entries]))
        try:
            found = await self._documents.fetch(uuids)
        except (Unavailable, Permanent):
            return {}  # then each entry asks for its own, and meets the trouble itself
        return dict(zip(uuids, found, strict=True))
