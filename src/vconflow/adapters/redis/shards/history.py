"""What happened to vCons of all shards (`ports/history.py`, `ports/event_source.py`)."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from vconflow.adapters.redis.ending import end_all
from vconflow.adapters.redis.shard import Shard
from vconflow.adapters.redis.shards.numbering import Numbering
from vconflow.ports.history import HistoryRecord

__all__ = ["ShardedEventSource", "ShardedHistory"]


class ShardedHistory:
    """Reads the history of vCons."""

    def __init__(self, shards: Sequence[Shard], numbering: Numbering) -> None:
        self._shards = shards
        self._numbering = numbering

    async def of(self, uuid: str) -> Sequence[HistoryRecord]:
        """See `History.of`."""
        return await self._shards[self._numbering.of_uuid(uuid)].history.of(uuid)


class ShardedEventSource:
    """Hears every shard where it writes: a node of a cluster knows its own listeners only."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._sources = [shard.event_source for shard in shards]

    async def listen(
        self, heard: Callable[[HistoryRecord], None], listening: Callable[[], None]
    ) -> None:
        """See `EventSource.listen`."""
        silent = set(range(len(self._sources)))

        def begun(number: int) -> None:
            silent.discard(number)
            if not silent:
                listening()

        tasks = [
            asyncio.create_task(source.listen(heard, partial(begun, number)))
            for number, source in enumerate(self._sources)
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end_all(tasks)
        for task in done:
            task.result()
