"""The consumer group that every list has."""

from collections.abc import Sequence
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from vconflow.adapters.redis.keys import GROUP

__all__ = ["create_groups", "is_without_group"]

_AT_ONCE: Final = 200


async def create_groups(client: Redis, keys: Sequence[str]) -> None:
    """Make sure of the groups, from the first entry on: what came before it must be read too."""
    for start in range(0, len(keys), _AT_ONCE):
        async with client.pipeline(transaction=False) as pipe:
            for key in keys[start : start + _AT_ONCE]:
                pipe.execute_command("XGROUP", "CREATE", key, GROUP, "0", "MKSTREAM")
            replies = await pipe.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, Exception) and not str(reply).startswith("BUSYGROUP"):
                raise reply


def is_without_group(error: ResponseError) -> bool:
    """Whether nobody made the group yet, or the stream was deleted by hand with it."""
    return str(error).startswith("NOGROUP")
