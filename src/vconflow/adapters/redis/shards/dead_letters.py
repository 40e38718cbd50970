"""Dead letters of all shards, in one order (`ports/dead_letters.py`)."""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from vconflow.adapters.redis.shard import Shard
from vconflow.adapters.redis.shards.numbering import Numbering, order
from vconflow.adapters.redis.shards.spreading import each
from vconflow.ports.dead_letters import DeadLetter, Extent

__all__ = ["ShardedDeadLetters"]


class ShardedDeadLetters:
    """Browse, replay, drop and expire."""

    def __init__(self, shards: Sequence[Shard], numbering: Numbering) -> None:
        self._shards = [shard.dead_letters for shard in shards]
        self._numbering = numbering

    async def browse(
        self, list_name: str, *, after: str, count: int, until: str = ""
    ) -> list[DeadLetter]:
        """See `DeadLetters.browse`."""
        last = self._numbering.last_until
        found = await each(
            shard.browse(list_name, after=last(after, it), count=count, until=last(until, it))
            for it, shard in enumerate(self._shards)
        )
        return self._sorted(found)[:count]

    async def newest(self, list_name: str, count: int) -> list[DeadLetter]:
        """See `DeadLetters.newest`."""
        found = await each(shard.newest(list_name, count) for shard in self._shards)
        return self._sorted(found)[::-1][:count]

    async def find(self, list_name: str, ids: Sequence[str]) -> list[DeadLetter]:
        """See `DeadLetters.find`."""
        parts = self._numbering.split(ids)
        found = await each(self._shards[it].find(list_name, names) for it, names in parts.items())
        letters = {
            letter.id: letter
            for number, part in zip(parts, found, strict=True)
            for letter in self._whole(number, part)
        }
        return [letters[name] for name in dict.fromkeys(ids) if name in letters]

    async def lists(self) -> set[str]:
        """See `DeadLetters.lists`."""
        return set().union(*await each(shard.lists() for shard in self._shards))

    async def extents(self, lists: Sequence[str]) -> dict[str, Extent]:
        """See `DeadLetters.extents`."""
        whole: dict[str, Extent] = {}
        for number, part in enumerate(await each(it.extents(lists) for it in self._shards)):
            for name, extent in part.items():
                newest, known = self._numbering.whole(number, extent.newest), whole.get(name)
                if known is not None:
                    newest = max(newest, known.newest, key=order)
                count = extent.count + (known.count if known else 0)
                whole[name] = Extent(count, newest)
        return {name: whole[name] for name in lists if name in whole}

    async def replay(self, list_name: str, ids: Sequence[str], *, from_start: bool = False) -> int:
        """See `DeadLetters.replay`."""
        moved = await each(
            self._shards[number].replay(list_name, names, from_start=from_start)
            for number, names in self._numbering.split(ids).items()
        )
        return sum(moved)

    async def drop(self, list_name: str, ids: Sequence[str]) -> int:
        """See `DeadLetters.drop`."""
        parts = self._numbering.split(ids)
        return sum(await each(self._shards[it].drop(list_name, part) for it, part in parts.items()))

    async def expire(self, list_name: str, older_than: int, count: int) -> int:
        """See `DeadLetters.expire`."""
        dropped = 0
        for shard in self._shards:
            if dropped < count:
                dropped += await shard.expire(list_name, older_than, count - dropped)
        return dropped

    def _sorted(self, parts: Iterable[Sequence[DeadLetter]]) -> list[DeadLetter]:
        letters = [it for number, part in enumerate(parts) for it in self._whole(number, part)]
        return sorted(letters, key=lambda letter: order(letter.id))

    def _whole(self, shard: int, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
        return [replace(it, id=self._numbering.whole(shard, it.id)) for it in letters]
