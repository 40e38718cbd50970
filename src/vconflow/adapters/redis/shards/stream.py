"""Reading and leasing over all shards (`ports/stream.py`)."""

from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from vconflow.adapters.redis.shard import Shard
from vconflow.adapters.redis.shards.numbering import Numbering, order
from vconflow.adapters.redis.shards.reading import ShardedReading
from vconflow.adapters.redis.shards.spreading import each, raise_first, settled
from vconflow.model.entry import Entry
from vconflow.ports.stream import Displaced, ListDepth, Resumed

__all__ = ["ShardedStream"]

ByShard = dict[int, dict[str, list[str]]]


class ShardedStream(ShardedReading):
    """One replica's view of the lists, of which every shard has its part."""

    def __init__(self, shards: Sequence[Shard], numbering: Numbering) -> None:
        super().__init__([shard.stream for shard in shards], numbering)

    @property
    def consumer(self) -> str:
        """See `EntryStream.consumer`."""
        return self._streams[0].consumer

    async def ensure(self, lists: Sequence[str]) -> None:
        """See `EntryStream.ensure`."""
        await each(stream.ensure(lists) for stream in self._streams)

    async def recover(self, list_name: str, after: str, count: int) -> list[Resumed]:
        """See `EntryStream.recover`; in order within each shard, one shard after the other."""
        shard, name = self._numbering.inner(after) if after else (0, "")
        for number in range(shard, len(self._streams)):
            found = await self._streams[number].recover(list_name, name, count)
            if found:
                return self._resumed(number, found)
            name = ""
        return []

    async def take_over(
        self, list_name: str, count: int, dropped: Collection[str] = ()
    ) -> list[Resumed]:
        """See `EntryStream.take_over`."""
        begun = self._numbering.split(dropped)
        found: list[Resumed] = []
        for number in self._next_order():
            left = count - len(found)
            if left > 0:
                stream, names = self._streams[number], begun.get(number, ())
                found += self._resumed(number, await stream.take_over(list_name, left, names))
        return sorted(found, key=lambda item: order(item.entry.id))

    async def renew(self, owned: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
        """See `EntryStream.renew`."""
        parts = self._parts(owned)
        # Even without entries each shard's hold on the name is to be renewed.
        outcomes = await settled(
            stream.renew(parts.get(number, {})) for number, stream in enumerate(self._streams)
        )
        for outcome in outcomes:
            if isinstance(outcome, Displaced):
                raise outcome
        return [
            (name, self._numbering.whole(number, entry))
            for number, lost in enumerate(raise_first(outcomes))
            for name, entry in lost
        ]

    async def hand_over(self, owned: Mapping[str, Sequence[str]]) -> None:
        """See `EntryStream.hand_over`."""
        parts = self._parts(owned)
        await each(self._streams[number].hand_over(part) for number, part in parts.items())

    async def reap(self, lists: Sequence[str]) -> None:
        """See `EntryStream.reap`."""
        await each(stream.reap(lists) for stream in self._streams)

    async def depth(self, lists: Sequence[str]) -> dict[str, ListDepth]:
        """See `EntryStream.depth`."""
        depths = await each(stream.depth(lists) for stream in self._streams)
        return {name: _sum([depth[name] for depth in depths]) for name in lists}

    def _parts(self, owned: Mapping[str, Sequence[str]]) -> ByShard:
        parts: ByShard = {}
        for name, entries in owned.items():
            for number, names in self._numbering.split(entries).items():
                parts.setdefault(number, {})[name] = names
        return parts

    def _resumed(self, shard: int, found: Sequence[Resumed]) -> list[Resumed]:
        return [replace(item, entry=self._whole(shard, item.entry)) for item in found]

    def _whole(self, shard: int, entry: Entry) -> Entry:
        return replace(entry, id=self._numbering.whole(shard, entry.id))


def _sum(depths: Sequence[ListDepth]) -> ListDepth:
    return ListDepth(
        waiting=sum(depth.waiting for depth in depths),
        pending=sum(depth.pending for depth in depths),
        dead=sum(depth.dead for depth in depths),
        oldest=max(depth.oldest for depth in depths),
    )
