"""Into how many shards the data is divided: remembered in Redis, and the same for ever."""

from redis.asyncio import Redis

from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.keys import Keys
from vconflow.errors import ConfigError, Problem

__all__ = ["check_layout", "check_whole", "count_of", "keys_of_shards"]

_CLUSTER_SHARDS = 16
"""On a cluster, unless something else is set: room for as many masters."""

_MOVING = "to change it, let this Redis drain and begin with an empty one (docs/redis-cluster.md)"


def count_of(wanted: int | None, *, is_cluster: bool) -> int:
    """How many shards there are to be."""
    return wanted or (_CLUSTER_SHARDS if is_cluster else 1)


def keys_of_shards(created_name: str, count: int, *, is_cluster: bool) -> list[Keys]:
    """The keys of each shard; on a cluster a tag holds together even those of a single one."""
    if count == 1 and not is_cluster:
        return [Keys(created_name)]
    return [Keys(created_name, f"{{s{number}}}") for number in range(count)]


async def check_layout(first: Redis, keys: Keys, count: int, *, is_cluster: bool) -> None:
    """Note the number of shards, or raise `ConfigError` when the data has another one.

    `first` and `keys` are those of the first shard.
    """
    with redis_errors():
        # On a cluster keys without a tag would be all over it: nobody has written any.
        whole = Keys(keys.created_name)
        if not is_cluster and await first.execute_command("EXISTS", whole.created, whole.config):
            raise _refusal(count, "1")
        await first.execute_command("SET", keys.shards, count, "NX")
        known = int(await first.execute_command("GET", keys.shards))
    if known != count:
        raise _refusal(count, str(known))


async def check_whole(client: Redis) -> None:
    """Raise `ConfigError` when the data of this Redis is divided into shards."""
    (first,) = keys_of_shards("", 1, is_cluster=True)
    with redis_errors():
        known = await client.execute_command("GET", first.shards)
    if known is not None:
        raise _refusal(1, known.decode())


def _refusal(wanted: int, known: str) -> ConfigError:
    message = f"is {wanted}, but the data of this Redis has {known} shard(s); {_MOVING}"
    return ConfigError([Problem(("VCONFLOW_SHARDS",), message, "shards")])
