"""One shard: its keys, and every port that works on them alone."""

from dataclasses import dataclass

from vconflow.adapters.redis.consumer_name import ConsumerName
from vconflow.adapters.redis.dead_letters import RedisDeadLetters
from vconflow.adapters.redis.documents import FETCH_BYTES, RedisDocuments
from vconflow.adapters.redis.egress import RedisEgress
from vconflow.adapters.redis.event_feed import RedisEventSource
from vconflow.adapters.redis.history import Journal, RedisHistory
from vconflow.adapters.redis.intake import RedisIntake
from vconflow.adapters.redis.ledger import RedisLedger
from vconflow.adapters.redis.options import RedisOptions
from vconflow.adapters.redis.places import Place
from vconflow.adapters.redis.stream import RedisStream

__all__ = ["Shard", "shard_at"]


@dataclass(frozen=True)
class Shard:
    """The ports of one shard."""

    place: Place
    journal: Journal
    intake: RedisIntake
    documents: RedisDocuments
    ledger: RedisLedger
    stream: RedisStream
    egress: RedisEgress
    dead_letters: RedisDeadLetters
    history: RedisHistory
    event_source: RedisEventSource


def shard_at(place: Place, name: ConsumerName, options: RedisOptions, of: int = 1) -> Shard:
    """The ports on a shard of so many; `name` is held in all of them."""
    client, scripts, keys = place.connections.commands, place.scripts, place.keys
    expiries = options.expiries
    journal = Journal(keys, name.name, expiry=options.history_expiry)
    documents = RedisDocuments(
        client, scripts, keys, journal, **expiries, fetch_bytes=FETCH_BYTES // of
    )
    return Shard(
        place=place,
        journal=journal,
        intake=RedisIntake(client, scripts, keys, journal, index_expiry=options.index_expiry),
        documents=documents,
        ledger=RedisLedger(scripts, keys, name, journal, **expiries),
        stream=RedisStream(place.connections, scripts, keys, name, lease=options.lease),
        egress=RedisEgress(client, scripts, keys, journal, lease=options.egress_lease, **expiries),
        dead_letters=RedisDeadLetters(client, scripts, keys, journal, documents),
        history=RedisHistory(client, keys),
        event_source=RedisEventSource(client, keys),
    )
