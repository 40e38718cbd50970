"""Taking over what a conserver keeps in the same Redis, in place and in small steps.

Each step is one script: it happens as a whole or not at all, and finds out by itself whether it
still has something to do. So a migration may be ended at any moment and begun again, run beside
replicas of vconflow, and beside a conserver that still fills its lists.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from vconflow.adapters.redis.client import open_redis
from vconflow.adapters.redis.keys import Keys
from vconflow.adapters.redis.layout import check_whole
from vconflow.adapters.redis.migration.documents import DocumentMigration
from vconflow.adapters.redis.migration.index import IndexMigration
from vconflow.adapters.redis.migration.lists import ListMigration
from vconflow.adapters.redis.migration.routes import Route
from vconflow.adapters.redis.migration.survey import Survey, survey
from vconflow.adapters.redis.scripts import Scripts, load_scripts
from vconflow.errors import ConfigError, Problem
from vconflow.redis_url import parse_cluster_url

__all__ = ["Migration", "open_migration"]


@dataclass(frozen=True)
class Migration:
    """The parts of a migration on one Redis."""

    client: Redis
    keys: Keys
    documents: DocumentMigration
    lists: ListMigration
    index: IndexMigration

    async def survey(self, routes: list[Route]) -> Survey:
        """Look at every key once, and say what a conserver left. Raises Unavailable."""
        return await survey(self.client, self.keys, routes)


@asynccontextmanager
async def open_migration(
    url: str, *, created_name: str, index_expiry: int
) -> AsyncIterator[Migration]:
    """Connect. `index_expiry` is in seconds. Raises ConfigError, also when there are shards."""
    if parse_cluster_url(url):
        message = "no conserver keeps its data in a cluster: name the Redis that it uses"
        raise ConfigError([Problem(("REDIS_URL",), message, "redis")])
    keys = Keys(created_name)
    async with open_redis(url) as connections:
        client = connections.commands
        await check_whole(client)
        scripts = Scripts(client, await asyncio.to_thread(load_scripts), keys)
        await scripts.set_clock()
        documents = DocumentMigration(client, scripts, keys, index_expiry=index_expiry * 1000)
        yield Migration(
            client,
            keys,
            documents,
            ListMigration(client, scripts, keys, documents),
            IndexMigration(client, scripts, keys, index_expiry=index_expiry * 1000),
        )
