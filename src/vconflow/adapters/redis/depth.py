"""How full lists are."""

import time
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from vconflow.adapters.redis.errors import as_ours, redis_errors
from vconflow.adapters.redis.groups import is_without_group
from vconflow.adapters.redis.keys import GROUP, Keys
from vconflow.ports.stream import ListDepth

__all__ = ["measure"]

_CHUNK = 256


async def measure(client: Redis, keys: Keys, lists: Sequence[str]) -> dict[str, ListDepth]:
    """The depth of each list; one round trip for some hundreds of them."""
    depths: dict[str, ListDepth] = {}
    for start in range(0, len(lists), _CHUNK):
        chunk = lists[start : start + _CHUNK]
        replies = await _ask(client, keys, chunk)
        for position, name in enumerate(chunk):
            depths[name] = _depth(*replies[4 * position : 4 * position + 4])
    return depths


async def _ask(client: Redis, keys: Keys, lists: Sequence[str]) -> list[Any]:
    with redis_errors():
        async with client.pipeline(transaction=False) as pipe:
            for name in lists:
                key = keys.list(name)
                pipe.execute_command("XLEN", key)
                pipe.execute_command("XPENDING", key, GROUP)
                pipe.execute_command("XLEN", keys.dead(name))
                pipe.execute_command("XRANGE", key, "-", "+", "COUNT", 1)
            replies: list[Any] = await pipe.execute(raise_on_error=False)
    return replies


def _depth(length: Any, pending: Any, dead: Any, first: Any) -> ListDepth:
    for reply in (length, dead, first):
        if isinstance(reply, Exception):
            raise as_ours(reply) from reply
    # A list nobody has read yet has no group, and so nothing pending.
    if isinstance(pending, ResponseError) and not is_without_group(pending):
        raise as_ours(pending) from pending
    owned = 0 if isinstance(pending, Exception) else int(pending[0])
    oldest = 0.0
    if first:
        oldest = max(0.0, time.time() - int(first[0][0].partition(b"-")[0]) / 1000)
    return ListDepth(max(0, length - owned), owned, dead, oldest)
