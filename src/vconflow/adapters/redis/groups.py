"""The consumer group that every list has."""

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from vconflow.adapters.redis.keys import GROUP

__all__ = ["create_group", "is_without_group"]


async def create_group(client: Redis, key: str) -> None:
    """Make sure of the group, from the first entry on: what came before it must be read too."""
    try:
        await client.execute_command("XGROUP", "CREATE", key, GROUP, "0", "MKSTREAM")
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise


def is_without_group(error: ResponseError) -> bool:
    """Whether nobody made the group yet, or the stream was deleted by hand with it."""
    return str(error).startswith("NOGROUP")
