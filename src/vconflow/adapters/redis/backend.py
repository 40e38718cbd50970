"""All ports that Redis implements, opened together."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from vconflow.adapters.redis.chain_switch import RedisChainSwitch
from vconflow.adapters.redis.client import Connections, open_redis
from vconflow.adapters.redis.config_store import RedisConfigStore
from vconflow.adapters.redis.consumer_name import hold_name
from vconflow.adapters.redis.dead_letters import RedisDeadLetters
from vconflow.adapters.redis.documents import RedisDocuments
from vconflow.adapters.redis.egress import RedisEgress
from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.event_feed import RedisEventSource
from vconflow.adapters.redis.follow import RedisFollowJournal
from vconflow.adapters.redis.history import Journal, RedisHistory
from vconflow.adapters.redis.intake import RedisIntake
from vconflow.adapters.redis.keys import Keys
from vconflow.adapters.redis.ledger import RedisLedger
from vconflow.adapters.redis.scripts import Scripts, load_scripts
from vconflow.adapters.redis.stream import RedisStream

__all__ = ["RedisBackend", "RedisOptions", "open_backend"]


class RedisOptions(msgspec.Struct, frozen=True):
    """How vconflow uses Redis. Times are in seconds; 0 means never for the expiries
    of documents and index, and no history for its own.

    `replica` is the wanted consumer name; `durability` is empty or `fsync`.
    """

    replica: str = "vconflow"
    lease: float = 30.0
    egress_lease: float = 60.0
    document_ttl: int = 3600
    index_expiry: int = 86400
    history_expiry: int = 86400
    created_name: str = "vcons"
    durability: str = ""


@dataclass(frozen=True)
class RedisBackend:
    """One replica's ports on one Redis."""

    connections: Connections
    intake: RedisIntake
    documents: RedisDocuments
    ledger: RedisLedger
    stream: RedisStream
    egress: RedisEgress
    dead_letters: RedisDeadLetters
    history: RedisHistory
    config: RedisConfigStore
    switch: RedisChainSwitch
    follow_journal: RedisFollowJournal
    event_source: RedisEventSource
    probe_key: str

    async def ping(self) -> float:
        """Seconds that a small write takes. Raises `Unavailable` when writes are refused."""
        started = time.perf_counter()
        with redis_errors():
            # A full or read-only server answers PING all the same.
            await self.connections.commands.execute_command("SET", self.probe_key, "", "PX", 1000)
        return time.perf_counter() - started


@asynccontextmanager
async def open_backend(url: str, options: RedisOptions) -> AsyncIterator[RedisBackend]:
    """Connect, check the server, and hold a consumer name. Raises `ConfigError`."""
    keys = Keys(options.created_name)
    expiries = {"index_expiry": options.index_expiry, "document_ttl": options.document_ttl}
    async with open_redis(url, durability=options.durability) as connections:
        client = connections.commands
        scripts = Scripts(client, await asyncio.to_thread(load_scripts), keys)
        await scripts.set_clock()
        async with (
            RedisConfigStore(client, scripts, keys) as config,
            hold_name(client, keys, options.replica, lease=options.lease) as name,
        ):
            journal = Journal(keys, name.name, expiry=options.history_expiry)
            documents = RedisDocuments(client, scripts, keys, journal, **expiries)
            yield RedisBackend(
                connections=connections,
                intake=RedisIntake(
                    client, scripts, keys, journal, index_expiry=options.index_expiry
                ),
                documents=documents,
                ledger=RedisLedger(scripts, keys, name, journal, **expiries),
                stream=RedisStream(connections, scripts, keys, name, lease=options.lease),
                egress=RedisEgress(
                    client, scripts, keys, journal, lease=options.egress_lease, **expiries
                ),
                dead_letters=RedisDeadLetters(client, scripts, keys, journal, documents),
                config=config,
                switch=RedisChainSwitch(client, keys),
                follow_journal=RedisFollowJournal(client, keys, name.name),
                history=RedisHistory(client, keys),
                event_source=RedisEventSource(client, keys),
                probe_key=keys.probe,
            )
