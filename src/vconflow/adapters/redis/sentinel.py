"""Finding the master through Sentinel, and leaving one that is no longer the master."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from vconflow.adapters.redis.ending import end_all
from vconflow.adapters.redis.errors import redis_errors
from vconflow.errors import Permanent, Unavailable
from vconflow.redis_url import SentinelUrl

__all__ = ["sentinel_client"]

_ANSWER_SECONDS = 1.0
"""One Sentinel that is silent must not use up the time of the others."""

_LOOK_SECONDS = 0.5
"""Between two looks at who the master is. An old one may take writes until it learns of its
successor, and these are lost."""

ClientT = TypeVar("ClientT", bound=Redis)


@asynccontextmanager
async def sentinel_client(
    url: SentinelUrl, client_class: type[ClientT], options: Mapping[str, Any]
) -> AsyncIterator[ClientT]:
    """A client of whichever server is the master; `options` are those of its connections."""
    asking = {
        "driver_info": options["driver_info"],
        "username": url.sentinel_username,
        "password": url.sentinel_password,
        "ssl": url.tls,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": _ANSWER_SECONDS,
        "socket_connect_timeout": _ANSWER_SECONDS,
    }
    async with Sentinel(url.sentinels, sentinel_kwargs=asking) as sentinel:
        client: ClientT = sentinel.master_for(
            url.service,
            redis_class=client_class,
            **options,
            db=url.database,
            username=url.username,
            password=url.password,
            ssl=url.tls,
        )
        following = asyncio.create_task(_follow(sentinel, url.service, client))
        try:
            yield client
        finally:
            await end_all([following])
            await client.aclose()


async def _follow(sentinel: Sentinel, service: str, client: Redis) -> None:
    """Cut all connections to a master that has been replaced: the driver only asks when it
    connects, and an old master that lives on keeps its connections.
    """
    known: object = None
    while True:
        # Without Sentinel the old connections are as good as any.
        with contextlib.suppress(Unavailable, Permanent), redis_errors():
            master = await sentinel.discover_master(service)
            if known not in (None, master):
                await client.connection_pool.disconnect()
            known = master
        await asyncio.sleep(_LOOK_SECONDS)
