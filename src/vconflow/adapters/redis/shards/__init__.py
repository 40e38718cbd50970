"""Many shards behind the ports of one: each vCon lives in the shard of its uuid, with its entries.

Every shard has every list; what concerns one vCon goes to its shard, and the rest to all of them.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from vconflow.adapters.redis.consumer_name import ConsumerName
from vconflow.adapters.redis.options import RedisOptions
from vconflow.adapters.redis.places import Place
from vconflow.adapters.redis.shard import shard_at
from vconflow.adapters.redis.shards.dead_letters import ShardedDeadLetters
from vconflow.adapters.redis.shards.documents import ShardedDocuments
from vconflow.adapters.redis.shards.egress import ShardedEgress
from vconflow.adapters.redis.shards.elsewhere import Elsewhere
from vconflow.adapters.redis.shards.history import ShardedEventSource, ShardedHistory
from vconflow.adapters.redis.shards.intake import ShardedIntake
from vconflow.adapters.redis.shards.ledger import ShardedLedger
from vconflow.adapters.redis.shards.numbering import Numbering
from vconflow.adapters.redis.shards.standing import Standing
from vconflow.adapters.redis.shards.stream import ShardedStream

__all__ = ["Shards", "open_shards"]


@dataclass(frozen=True)
class Shards:
    """The ports of all shards together, named as those of one."""

    intake: ShardedIntake
    documents: ShardedDocuments
    ledger: ShardedLedger
    stream: ShardedStream
    egress: ShardedEgress
    dead_letters: ShardedDeadLetters
    history: ShardedHistory
    event_source: ShardedEventSource


@asynccontextmanager
async def open_shards(
    places: Sequence[Place], name: ConsumerName, options: RedisOptions
) -> AsyncIterator[Shards]:
    """The ports on these shards; `name` is held in all of them."""
    count = len(places)
    numbering = Numbering(count)
    shards = [shard_at(place, name, options, count) for place in places]
    standing = Standing([place.ping for place in places])
    stream = ShardedStream(shards, numbering, standing, lease=options.lease)
    elsewhere = Elsewhere(shards, **options.expiries)
    try:
        yield Shards(
            intake=ShardedIntake(shards, numbering, standing),
            documents=ShardedDocuments(shards, numbering, standing),
            ledger=ShardedLedger(shards, numbering, elsewhere, standing),
            stream=stream,
            egress=ShardedEgress(shards, numbering),
            dead_letters=ShardedDeadLetters(shards, numbering),
            history=ShardedHistory(shards, numbering),
            event_source=ShardedEventSource(shards),
        )
    finally:
        await stream.close()
        await standing.close()
