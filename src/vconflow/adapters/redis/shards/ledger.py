"""Fenced bookkeeping, each entry in its own shard (`ports/ledger.py`)."""

from collections.abc import Sequence

from msgspec.structs import replace

from vconflow.adapters.redis.shard import Shard
from vconflow.adapters.redis.shards.elsewhere import Elsewhere
from vconflow.adapters.redis.shards.numbering import Numbering
from vconflow.adapters.redis.shards.spreading import settled, spread
from vconflow.adapters.redis.shards.standing import Standing
from vconflow.ports.ledger import Bury, Commit, CommitResult, Defer, Finish, Verdict

__all__ = ["ShardedLedger"]


class ShardedLedger:
    """One script call per shard; a commit about a vCon of another shard takes three.

    That happens when a link goes on with another vCon (`Replace`). Then the entry is checked, the
    vCon is written and handed on in its shard, once whatever is repeated, and the entry ends.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        numbering: Numbering,
        other: Elsewhere,
        standing: Standing,
    ) -> None:
        self._shards = shards
        self._numbering = numbering
        self._elsewhere = other
        self._standing = standing

    async def commit(self, batch: Sequence[Commit]) -> list[CommitResult | Exception]:
        """See `Ledger.commit`."""
        return await spread(batch, lambda item: self._numbering.inner(item.entry.id)[0], self._on)

    async def _on(self, shard: int, batch: list[Commit]) -> list[CommitResult | Exception]:
        here = [it for it in batch if self._is_at(shard, it)]
        others = [it for it in batch if not self._is_at(shard, it)]
        results = await self._commit(shard, here) if here else []
        found = iter(results), iter(await settled(self._across(shard, it) for it in others))
        # Read off in the order of the batch.
        return [next(found[not self._is_at(shard, it)]) for it in batch]

    def _is_at(self, shard: int, item: Commit) -> bool:
        """Whether nothing of another shard is looked at."""
        only_ends = isinstance(item.then, Finish) and item.then.deleted
        is_own = only_ends or item.uuid == item.entry.uuid
        return is_own or self._numbering.of_uuid(item.uuid) == shard

    async def _commit(self, shard: int, batch: list[Commit]) -> list[CommitResult | Exception]:
        inside = [self._inside(item) for item in batch]
        return await self._standing.ask(shard, lambda: self._shards[shard].ledger.commit(inside))

    def _inside(self, item: Commit) -> Commit:
        _, name = self._numbering.inner(item.entry.id)
        return replace(item, entry=replace(item.entry, id=name))

    async def _across(self, shard: int, item: Commit) -> CommitResult:
        held = await self._one(shard, Commit(item.entry, item.entry.uuid))
        if held.verdict is Verdict.LOST:
            return held
        there = self._numbering.of_uuid(item.uuid)
        written = await self._standing.ask(there, lambda: self._elsewhere.commit(there, item))
        buries = isinstance(item.then, Bury) and item.then.even_deleted
        if written.verdict is not Verdict.DONE and not buries:
            return written
        ended = await self._end(shard, item)
        return written if ended.verdict is Verdict.DONE else ended

    async def _end(self, shard: int, item: Commit) -> CommitResult:
        """What becomes of the entry itself, whose own vCon may have been deleted meanwhile."""
        end = Commit(item.entry, item.entry.uuid, then=_end_of(item), record=item.record)
        if end.then is None:
            return CommitResult(Verdict.DONE)
        result = await self._one(shard, end)
        if result.verdict is not Verdict.DELETED:
            return result
        if isinstance(end.then, Finish):
            return await self._one(shard, replace(end, then=Finish(deleted=True)))
        # Under the name of the other vCon nothing is known in this shard, so nothing was deleted.
        return await self._one(shard, replace(end, uuid=item.uuid, record=None))

    async def _one(self, shard: int, item: Commit) -> CommitResult:
        (result,) = await self._commit(shard, [item])
        if isinstance(result, Exception):
            raise result
        return result


def _end_of(item: Commit) -> Finish | Defer | Bury | None:
    """What is left to do with an entry whose vCon was handed on elsewhere."""
    match item.then:
        case Finish():
            return Finish()
        case Bury() as bury:
            return replace(bury, even_deleted=True)
        case other:
            return other
