"""All ports that Redis implements, opened together."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from vconflow.adapters.redis.chain_switch import RedisChainSwitch
from vconflow.adapters.redis.client import Connections
from vconflow.adapters.redis.config_store import RedisConfigStore
from vconflow.adapters.redis.consumer_name import hold_name
from vconflow.adapters.redis.follow import RedisFollowJournal
from vconflow.adapters.redis.options import RedisOptions
from vconflow.adapters.redis.places import Place, open_places
from vconflow.adapters.redis.shard import Shard, shard_at
from vconflow.adapters.redis.shards import Shards, open_shards
from vconflow.adapters.redis.shards.spreading import each
from vconflow.ports.dead_letters import DeadLetters
from vconflow.ports.documents import Documents
from vconflow.ports.egress import EgressLists
from vconflow.ports.event_source import EventSource
from vconflow.ports.history import History
from vconflow.ports.intake import Intake
from vconflow.ports.ledger import Ledger
from vconflow.ports.stream import EntryStream

__all__ = ["RedisBackend", "RedisOptions", "open_backend"]


class KeptDocuments(Documents, Protocol):
    """Documents that expire."""

    async def sweep(self, now: float, count: int = 500) -> int:
        """Forget vCons whose only copy has expired by `now` (Unix seconds); `count` or less."""
        ...


@dataclass(frozen=True)
class RedisBackend:
    """One replica's ports on one Redis, or on the shards of several.

    What there is only once is in the first of `places`; `connections` are those to it.
    """

    connections: Connections
    intake: Intake
    documents: KeptDocuments
    ledger: Ledger
    stream: EntryStream
    egress: EgressLists
    dead_letters: DeadLetters
    history: History
    config: RedisConfigStore
    switch: RedisChainSwitch
    follow_journal: RedisFollowJournal
    event_source: EventSource
    places: tuple[Place, ...]

    @property
    def is_divided(self) -> bool:
        """Whether the data is in shards, even if there is only one of them."""
        return bool(self.places[0].keys.tag)

    async def ping(self) -> float:
        """Seconds that a small write takes everywhere. Raises `Unavailable` when one is refused."""
        started = time.perf_counter()
        await each(place.ping() for place in self.places)
        return time.perf_counter() - started


@asynccontextmanager
async def open_backend(url: str, options: RedisOptions) -> AsyncIterator[RedisBackend]:
    """Connect, check the server, and hold a consumer name. Raises `ConfigError`."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        places = await enter(open_places(url, options))
        first = places[0]
        client, keys = first.connections.commands, first.keys
        config = await enter(RedisConfigStore(client, first.scripts, keys))
        held = [(place.connections.commands, place.keys) for place in places]
        name = await enter(hold_name(held, options.replica, lease=options.lease))
        ports: Shard | Shards
        if keys.tag:
            ports = await enter(open_shards(places, name, options))
        else:
            ports = shard_at(first, name, options)
        confirmed = options.durability == "replicated"
        yield RedisBackend(
            connections=first.connections,
            intake=ports.intake,
            documents=ports.documents,
            ledger=ports.ledger,
            stream=ports.stream,
            egress=ports.egress,
            dead_letters=ports.dead_letters,
            history=ports.history,
            config=config,
            switch=RedisChainSwitch(client, keys),
            follow_journal=RedisFollowJournal(client, keys, name.name, confirmed=confirmed),
            event_source=ports.event_source,
            places=tuple(places),
        )
