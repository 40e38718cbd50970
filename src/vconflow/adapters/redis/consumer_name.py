"""A stable name per replica, held so that two replicas never act under the same one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from redis.asyncio import Redis

from vconflow.adapters.redis.client import redis_errors
from vconflow.adapters.redis.keys import Keys

__all__ = ["ConsumerName", "hold_name"]

# Delete the hold only while it is ours.
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"


@dataclass(frozen=True)
class ConsumerName:
    """A held name. `ttl_ms` is how long the hold lasts without renewal."""

    name: str
    token: str
    ttl_ms: int


@asynccontextmanager
async def hold_name(
    client: Redis, keys: Keys, wanted: str, *, lease: float
) -> AsyncIterator[ConsumerName]:
    """Hold `wanted`, or `wanted-2`, `wanted-3` … when a clone holds it already.

    A replica that died leaves its hold for up to the lease (seconds); its successor then works
    under a suffix, and what the dead one owned is taken over when its lease ends.
    """
    token, ttl_ms = uuid4().hex, int(lease * 1000)
    name, number = wanted, 1
    while True:
        with redis_errors():
            if await client.execute_command("SET", keys.consumer(name), token, "NX", "PX", ttl_ms):
                break
        number += 1
        name = f"{wanted}-{number}"
    try:
        yield ConsumerName(name, token, ttl_ms)
    finally:
        # Best effort: without it the hold simply ends with its lease.
        with redis_errors():
            await asyncio.shield(
                client.execute_command("EVAL", _RELEASE, 1, keys.consumer(name), token)
            )
