"""What kind of server we accept: one that keeps what it has accepted."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import exceptions as driver
from redis.asyncio import Redis
from redis.asyncio.sentinel import MasterNotFoundError

from vconflow.errors import ConfigError, Problem

__all__ = ["check_server"]

_OLDEST = (7, 0)


async def check_server(client: Redis, durability: str, *, is_cluster: bool = False) -> None:
    """Raise `ConfigError` for a server that cannot be reached, is too old or could lose vCons.

    `is_cluster` says that the address is that of a cluster.
    """
    with _refusals():
        info = _parse_info(await client.execute_command("INFO", "server"))
        policy = await _setting(client, "maxmemory-policy")
        fsync = await _setting(client, "appendfsync")
        appendonly = await _setting(client, "appendonly")
    _check_version(info)
    mode = info.get("redis_mode") or info.get("server_mode")
    if mode == "cluster" and not is_cluster:
        raise _refusal("the server is a node of a cluster: write redis+cluster://host:port")
    if policy not in ("noeviction", ""):
        raise _refusal(
            f"maxmemory-policy is {policy!r}: a full server would evict accepted conversations; "
            "set it to 'noeviction'"
        )
    if durability and appendonly != "yes":
        raise _refusal(f"VCONFLOW_DURABILITY={durability} needs 'appendonly yes'")
    if durability == "fsync" and fsync != "always":
        raise _refusal(
            "VCONFLOW_DURABILITY=fsync needs 'appendonly yes' and 'appendfsync always', "
            f"the server has appendonly {appendonly}, appendfsync {fsync}"
        )
    if durability == "replicated":
        await _check_replication(client)


async def _check_replication(client: Redis) -> None:
    with _refusals():
        replicas = await _setting(client, "min-replicas-to-write")
    if replicas == "0":
        raise _refusal(
            "VCONFLOW_DURABILITY=replicated needs 'min-replicas-to-write 1' or more: "
            "a master that has lost its replicas must take nothing"
        )


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (driver.AuthenticationError, driver.NoPermissionError) as error:
        raise _refusal(f"the server refuses the credentials: {error}") from error
    except driver.ResponseError as error:
        # `NOAUTH` arrives as a plain reply error when no password was sent at all.
        raise _refusal(f"the server refuses us: {error}") from error
    except MasterNotFoundError as error:
        # The driver goes on with a description of its connections, a thousand characters each.
        text = str(error).partition(" : ")[0]
        raise _refusal(f"cannot reach the server: {text}") from error
    # The last one is uvloop's word for a connection that the other side has closed.
    except (driver.ConnectionError, driver.TimeoutError, OSError, RuntimeError) as error:
        raise _refusal(f"cannot reach the server: {str(error) or 'no answer'}") from error


def _check_version(info: dict[str, str]) -> None:
    # Valkey reports the Redis version it is compatible with, which is what counts here.
    version = info.get("redis_version", "0")
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if parts < _OLDEST:
        raise _refusal(f"version {version} is too old, vconflow needs Redis 7.0 or Valkey 7.2")


async def _setting(client: Redis, name: str) -> str:
    try:
        reply: list[bytes] = await client.execute_command("CONFIG", "GET", name)
    except driver.ResponseError:
        return ""  # managed servers forbid CONFIG; they document these settings instead
    return reply[1].decode() if len(reply) > 1 else ""


def _parse_info(reply: Any) -> dict[str, str]:
    lines = bytes(reply).decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _refusal(message: str) -> ConfigError:
    return ConfigError([Problem(("REDIS_URL",), message, "redis")])
