"""Reading and leasing over all shards (`ports/stream.py`)."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from vconflow.adapters.redis.shard import Shard
from vconflow.adapters.redis.shards.numbering import Numbering, order
from vconflow.adapters.redis.shards.reading import ShardedReading
from vconflow.adapters.redis.shards.sparing import Sparing
from vconflow.adapters.redis.shards.spreading import each, raise_first, settled
from vconflow.adapters.redis.shards.standing import Standing
from vconflow.errors import Permanent, Retryable
from vconflow.model.entry import Entry
from vconflow.ports.stream import ListDepth, Resumed

__all__ = ["ShardedStream"]

ByShard = dict[int, dict[str, list[str]]]


class ShardedStream(ShardedReading):
    """One replica's view of the lists, of which every shard has its part."""

    def __init__(
        self, shards: Sequence[Shard], numbering: Numbering, standing: Standing, *, lease: float
    ) -> None:
        super().__init__([shard.stream for shard in shards], numbering, standing)
        self._sparing = Sparing(lease)

    @property
    def consumer(self) -> str:
        """See `EntryStream.consumer`."""
        return self._streams[0].consumer

    async def ensure(self, lists: Sequence[str]) -> None:
        """See `EntryStream.ensure`."""
        await each(stream.ensure(lists) for stream in self._streams)

    async def left(self, lists: Sequence[str], *, own: bool = False) -> list[str]:
        """See `EntryStream.left`; what some shards cannot tell, the others do."""
        outcomes = await settled(
            self._standing.ask(number, partial(stream.left, lists, own=own))
            for number, stream in enumerate(self._streams)
            if own or not self._standing.is_silent(number)
        )
        found = {
            name for outcome in outcomes if not isinstance(outcome, Exception) for name in outcome
        }
        if own or not found:
            raise_first(outcomes)
        return [name for name in lists if name in found]

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
        """See `EntryStream.take_over`; raises only when nothing was claimed."""
        self._standing.check()
        begun = self._numbering.split(dropped)
        found: list[Resumed] = []
        failure: Exception | None = None
        for number in self._next_order():
            left = count - len(found)
            if left <= 0 or self._standing.is_silent(number) or self._sparing.spares(number):
                continue
            try:
                found += await self._take_over(number, list_name, left, begun.get(number, ()))
            except (Retryable, Permanent) as error:
                failure = error
        if failure is not None and not found:
            raise failure
        return sorted(found, key=lambda item: order(item.entry.id))

    async def _take_over(
        self, shard: int, list_name: str, count: int, dropped: Collection[str]
    ) -> list[Resumed]:
        stream = self._streams[shard]
        claimed = await self._standing.ask(
            shard, lambda: stream.take_over(list_name, count, dropped)
        )
        return self._resumed(shard, claimed)

    async def renew(self, owned: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
        """See `EntryStream.renew`; raises only `Displaced`, or when no shard could renew."""
        parts = self._parts(owned)
        # Even without entries each shard's hold on the name is to be renewed.
        outcomes = await settled(
            self._renew(number, parts.get(number, {})) for number in range(len(self._streams))
        )
        for outcome in outcomes:
            # `Displaced`, or what nobody expects.
            if isinstance(outcome, Exception) and not isinstance(outcome, Retryable | Permanent):
                raise outcome
        # What a shard has told is true, whatever became of the others.
        if all(isinstance(outcome, Exception) for outcome in outcomes):
            raise_first(outcomes)
        return [
            (name, self._numbering.whole(number, entry))
            for number, lost in enumerate(outcomes)
            if not isinstance(lost, Exception)
            for name, entry in lost
        ]

    async def _renew(self, shard: int, part: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
        stream = self._streams[shard]
        try:
            lost = await self._standing.ask(shard, lambda: stream.renew(part))
        except (Retryable, Permanent):
            self._sparing.failed(shard)
            raise
        self._sparing.renewed(shard)
        return lost

    async def hand_over(self, owned: Mapping[str, Sequence[str]]) -> None:
        """See `EntryStream.hand_over`."""
        parts = self._parts(owned)
        await each(self._hand_over(number, part) for number, part in parts.items())

    async def _hand_over(self, shard: int, part: Mapping[str, Sequence[str]]) -> None:
        stream = self._streams[shard]
        await self._standing.ask(shard, lambda: stream.hand_over(part))

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
