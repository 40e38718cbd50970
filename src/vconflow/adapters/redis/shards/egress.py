"""Handing vCons out of lists that are spread over shards (`ports/egress.py`)."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from msgspec.structs import replace

from vconflow.adapters.redis.egress import RedisEgress
from vconflow.adapters.redis.shard import Shard
from vconflow.adapters.redis.shards.numbering import Numbering, order
from vconflow.adapters.redis.shards.spreading import each, raise_first, settled
from vconflow.errors import Retryable
from vconflow.model.entry import Entry, split_lease_id

__all__ = ["ShardedEgress"]

Act = Callable[[RedisEgress, list[Entry]], Coroutine[Any, Any, list[str]]]


class ShardedEgress:
    """Popping with a lease. What one request gets is in order, shard by shard it is FIFO."""

    def __init__(self, shards: Sequence[Shard], numbering: Numbering) -> None:
        self._egress = [shard.egress for shard in shards]
        self._numbering = numbering
        self._turn = 0

    async def lease(self, list_name: str, count: int, seconds: float | None = None) -> list[Entry]:
        """See `EgressLists.lease`."""
        entries: list[Entry] = []
        while len(entries) < count:
            try:
                asked, found = await self._lease_some(list_name, count - len(entries), seconds)
            except Retryable:
                if not entries:
                    raise
                break  # what we have got is lent to the caller: it must learn of it
            entries += found
            # Less than was there a moment ago: others were faster, and there may be more elsewhere.
            if not found or len(found) == asked:
                break
        return sorted(entries, key=lambda entry: order(entry.id))

    async def _lease_some(
        self, list_name: str, count: int, seconds: float | None
    ) -> tuple[int, list[Entry]]:
        """How many were there to be had, and those that we got."""
        depths = await each(egress.depth(list_name) for egress in self._egress)
        counts = self._allot(depths, count)
        outcomes = await settled(
            self._egress[number].lease(list_name, wanted, seconds)
            for number, wanted in counts.items()
        )
        entries: list[Entry] = []
        for number, outcome in zip(counts, outcomes, strict=True):
            if not isinstance(outcome, Exception):
                entries += [self._whole(number, entry) for entry in outcome]
        if not entries:
            raise_first(outcomes)
        return sum(counts.values()), entries

    def _allot(self, depths: Sequence[int], count: int) -> dict[int, int]:
        """How many to ask of which shard: of each the same, then the rest; in turn the first."""
        self._turn = (self._turn + 1) % len(depths)
        turns = [*range(self._turn, len(depths)), *range(self._turn)]
        counts = dict.fromkeys(turns, 0)
        for most in (-(-count // len(depths)), count):
            for number in turns:
                more = min(most, depths[number] - counts[number], count)
                counts[number] += more
                count -= more
        return {number: wanted for number, wanted in counts.items() if wanted}

    async def find(self, list_name: str, lease_ids: Sequence[str]) -> list[Entry]:
        """See `EgressLists.find`."""
        found = await each(
            self._egress[number].find(list_name, names)
            for number, names in self._split(lease_ids).items()
        )
        entries = [
            self._whole(number, entry)
            for number, part in zip(self._split(lease_ids), found, strict=True)
            for entry in part
        ]
        places = {name: place for place, name in enumerate(lease_ids)}
        return sorted(entries, key=lambda entry: places.get(entry.lease_id, 0))

    async def ack(self, list_name: str, entries: Sequence[Entry]) -> list[str]:
        """See `EgressLists.ack`."""
        return await self._settle(entries, lambda shard, part: shard.ack(list_name, part))

    async def give_back(self, list_name: str, entries: Sequence[Entry]) -> list[str]:
        """See `EgressLists.give_back`."""
        return await self._settle(entries, lambda shard, part: shard.give_back(list_name, part))

    async def extend(self, list_name: str, entries: Sequence[Entry], seconds: float) -> list[str]:
        """See `EgressLists.extend`."""
        return await self._settle(
            entries, lambda shard, part: shard.extend(list_name, part, seconds)
        )

    async def depth(self, list_name: str) -> int:
        """See `EgressLists.depth`."""
        return sum(await each(egress.depth(list_name) for egress in self._egress))

    async def _settle(self, entries: Sequence[Entry], act: Act) -> list[str]:
        parts: dict[int, list[Entry]] = {}
        for entry in entries:
            number, name = self._numbering.inner(entry.id)
            parts.setdefault(number, []).append(replace(entry, id=name))
        done = await each(act(self._egress[number], part) for number, part in parts.items())
        kept = {
            self._outer(number, lease_id)
            for number, lease_ids in zip(parts, done, strict=True)
            for lease_id in lease_ids
        }
        return [entry.lease_id for entry in entries if entry.lease_id in kept]

    def _split(self, lease_ids: Sequence[str]) -> dict[int, list[str]]:
        parts: dict[int, list[str]] = {}
        for lease_id in dict.fromkeys(lease_ids):
            entry, turn = split_lease_id(lease_id)
            number, name = self._numbering.inner(entry)
            parts.setdefault(number, []).append(f"{name}.{turn}")
        return parts

    def _outer(self, shard: int, lease_id: str) -> str:
        entry, turn = split_lease_id(lease_id)
        return f"{self._numbering.whole(shard, entry)}.{turn}"

    def _whole(self, shard: int, entry: Entry) -> Entry:
        return replace(entry, id=self._numbering.whole(shard, entry.id))
