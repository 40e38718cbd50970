"""Repeated requests: what each shard remembers of its part is put together here.

The mark of an idempotency key stands in the shard of the vCon, written in the step that accepts
it. So the same request finds it; one with another body may belong to another shard, and is refused
by what the others remember. Only two of them at the same time, in batches that are under way
together, can miss each other.
"""

from collections.abc import Mapping, Sequence

from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.shard import Shard
from vconflow.adapters.redis.shards.numbering import Numbering
from vconflow.adapters.redis.shards.spreading import settled
from vconflow.adapters.redis.shards.standing import Standing
from vconflow.errors import Conflict
from vconflow.ports.intake import Enqueued, Idempotency

__all__ = ["Repeats"]

_TTL_MS = 24 * 3600 * 1000


class Repeats:
    """What was asked before under an idempotency key."""

    def __init__(self, shards: Sequence[Shard], numbering: Numbering, standing: Standing) -> None:
        self._shards = shards
        self._numbering = numbering
        self._standing = standing

    async def refusals(self, asked: Mapping[int, Idempotency]) -> dict[int, Exception]:
        """Which of these are known with another fingerprint, and those that nobody can tell of."""
        refused: dict[int, Exception] = {}
        wanted = list(asked.items())
        marks = [it for _, it in wanted]
        shards = range(len(self._shards))
        for outcome in await settled(self._marks(shard, marks) for shard in shards):
            for number, (position, idempotency) in enumerate(wanted):
                if isinstance(outcome, Exception):
                    refused.setdefault(position, outcome)
                elif not (outcome[number] or b"").startswith(_prefix(outcome[number], idempotency)):
                    refused[position] = Conflict("Idempotency-Key reused with another body")
        return refused

    async def remember(self, idempotency: Idempotency, answer: Enqueued) -> None:
        """Keep the answer to a whole order, when all shards have come to an end with it."""
        digits = "".join("1" if there else "0" for there in answer.found)
        shard, name = self._home(idempotency), self._whole(idempotency).name
        with redis_errors():
            await shard.place.connections.commands.execute_command(
                "SET",
                shard.place.keys.idempotency(name),
                f"{idempotency.fingerprint}={digits}",
                "PX",
                _TTL_MS,
            )

    async def recall(self, idempotency: Idempotency) -> Enqueued | None:
        """The answer that `remember` kept."""
        return await self._home(idempotency).intake.recall_enqueued(self._whole(idempotency))

    def _home(self, idempotency: Idempotency) -> Shard:
        return self._shards[self._numbering.of_uuid(idempotency.name)]

    @staticmethod
    def _whole(idempotency: Idempotency) -> Idempotency:
        # Beside the mark of the part that this shard has of the order.
        return Idempotency(f"{idempotency.name}:whole", idempotency.fingerprint)

    async def _marks(self, shard: int, wanted: Sequence[Idempotency]) -> list[bytes | None]:
        return await self._standing.ask(shard, lambda: _marks(self._shards[shard], wanted))


async def _marks(shard: Shard, wanted: Sequence[Idempotency]) -> list[bytes | None]:
    names = [shard.place.keys.idempotency(it.name) for it in wanted]
    with redis_errors():
        found: list[bytes | None] = await shard.place.connections.commands.execute_command(
            "MGET", *names
        )
    return found


def _prefix(mark: bytes | None, idempotency: Idempotency) -> bytes:
    """What a mark begins with that belongs to this very request."""
    return idempotency.fingerprint.encode() if mark else b""
