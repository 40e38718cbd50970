"""Accepting vCons, each in the shard of its uuid (`ports/intake.py`)."""

from collections.abc import Sequence

import msgspec

from vconflow.adapters.redis.shard import Shard
from vconflow.adapters.redis.shards.numbering import Numbering
from vconflow.adapters.redis.shards.repeats import Repeats
from vconflow.adapters.redis.shards.spreading import each, raise_first, settled, spread
from vconflow.adapters.redis.shards.standing import Standing
from vconflow.ports.intake import Acceptance, Enqueued, Enqueuing, Idempotency, Receipt

__all__ = ["ShardedIntake"]


class ShardedIntake:
    """Gives each shard its part of a batch; one that is away refuses its own part only."""

    def __init__(self, shards: Sequence[Shard], numbering: Numbering, standing: Standing) -> None:
        self._shards = shards
        self._numbering = numbering
        self._repeats = Repeats(shards, numbering, standing)
        self._standing = standing

    async def accept(self, batch: Sequence[Acceptance]) -> list[Receipt | Exception]:
        """See `Intake.accept`."""
        marked = {position: it.idempotency for position, it in enumerate(batch) if it.idempotency}
        refused = await self._repeats.refusals(marked) if marked else {}
        results: list[Receipt | Exception] = await spread(
            [item for position, item in enumerate(batch) if position not in refused],
            lambda item: self._numbering.of_uuid(item.facts.uuid),
            self._accept,
        )
        for position, error in sorted(refused.items()):
            results.insert(position, error)
        return results

    async def _accept(self, shard: int, items: list[Acceptance]) -> list[Receipt | Exception]:
        return await self._standing.ask(shard, lambda: self._shards[shard].intake.accept(items))

    async def enqueue(self, order: Enqueuing) -> Enqueued:
        """See `Intake.enqueue`."""
        marks = order.idempotency
        if marks is not None and (refusal := await self._repeats.refusals({0: marks})):
            raise refusal[0]
        places: dict[int, list[int]] = {}
        for position, uuid in enumerate(order.uuids):
            places.setdefault(self._numbering.of_uuid(uuid), []).append(position)
        replies = await each(
            self._enqueue(shard, _part(order, chosen)) for shard, chosen in places.items()
        )
        found = [False] * len(order.uuids)
        for chosen, reply in zip(places.values(), replies, strict=True):
            for position, there in zip(chosen, reply.found, strict=True):
                found[position] = there
        whole = Enqueued(found, repeated=all(reply.repeated for reply in replies))
        if marks is not None and (order.final or whole.repeated or all(found)):
            await self._repeats.remember(marks, whole)
        return whole

    async def _enqueue(self, shard: int, part: Enqueuing) -> Enqueued:
        return await self._standing.ask(shard, lambda: self._shards[shard].intake.enqueue(part))

    async def recall(self, idempotency: Idempotency) -> Receipt | None:
        """See `Intake.recall`."""
        # Which vCon it was is not said.
        shards = range(len(self._shards))
        outcomes = await settled(self._recall(shard, idempotency) for shard in shards)
        for outcome in outcomes:
            if isinstance(outcome, Receipt):
                return outcome
        raise_first(outcomes)
        return None

    async def _recall(self, shard: int, idempotency: Idempotency) -> Receipt | None:
        return await self._standing.ask(
            shard, lambda: self._shards[shard].intake.recall(idempotency)
        )

    async def recall_enqueued(self, idempotency: Idempotency) -> Enqueued | None:
        """See `Intake.recall_enqueued`."""
        return await self._repeats.recall(idempotency)


def _part(order: Enqueuing, positions: Sequence[int]) -> Enqueuing:
    uuids = [order.uuids[position] for position in positions]
    return msgspec.structs.replace(order, uuids=uuids)
