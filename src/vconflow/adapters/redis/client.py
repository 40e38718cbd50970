"""The connections to Redis, what kind of server we accept, and what its errors mean."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from redis import exceptions as driver
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.driver_info import DriverInfo

from vconflow import __version__
from vconflow.errors import ConfigError, Permanent, Problem, Unavailable

__all__ = ["Connections", "open_redis", "redis_errors"]

_BLOCK_LIMIT = 5.0
"""Seconds a blocking read waits at most; a silent connection is given up soon after."""

_OLDEST = (7, 0)
_MOST_CONNECTIONS = 4096

# Everything that may pass: the server is away, starting, read-only after a failover, or full.
_UNAVAILABLE = (
    driver.ConnectionError,
    driver.TimeoutError,
    driver.ReadOnlyError,
    driver.OutOfMemoryError,
    driver.TryAgainError,
    driver.ClusterDownError,
    driver.MasterDownError,
    OSError,
)
# The same as plain error texts, for replies that the driver does not give a type of its own.
_UNAVAILABLE_WORDS = ("LOADING", "MISCONF", "READONLY", "OOM", "BUSY", "MASTERDOWN", "NOREPLICAS")


@dataclass(frozen=True)
class Connections:
    """`commands` serves everything that answers at once; `reader` is for the one blocking read."""

    commands: Redis
    reader: Redis
    block_limit: float = _BLOCK_LIMIT


@contextmanager
def redis_errors() -> Iterator[None]:
    """Map the driver's exceptions to ours."""
    try:
        yield
    except (driver.AuthenticationError, driver.NoPermissionError) as error:
        # We were let in at the start: somebody changes the password, and will change it back.
        raise Unavailable(f"Redis refuses us: {type(error).__name__}") from error
    except _UNAVAILABLE as error:
        raise Unavailable(f"Redis is unavailable: {type(error).__name__}") from error
    except driver.ResponseError as error:
        if str(error).startswith(_UNAVAILABLE_WORDS):
            raise Unavailable(f"Redis cannot write: {error}") from error
        raise Permanent(f"Redis: {error}") from error


@asynccontextmanager
async def open_redis(url: str, *, durability: str = "") -> AsyncIterator[Connections]:
    """Connect, and refuse a server that could lose or evict what it accepted.

    Raises `ConfigError` for a server that is unreachable, refuses the password, is older than
    Redis 7.0 or evicts keys; with `durability="fsync"` also for one without `appendfsync always`.
    """
    commands = _client(url, Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.05), 2), 5.0)
    # The reader's loop repeats by itself; a driver that repeats would only hide the outage.
    reader = _client(url, Retry(NoBackoff(), 0), _BLOCK_LIMIT + 5.0)
    try:
        await _check_server(commands, durability)
        yield Connections(commands, reader)
    finally:
        await commands.aclose()
        await reader.aclose()


def _client(url: str, retry: Retry, timeout: float) -> Redis:
    client: Redis = Redis.from_url(
        url,
        protocol=2,
        retry=retry,
        socket_timeout=timeout,
        socket_connect_timeout=5.0,
        # The driver's default of 100 would turn the 101st call at the same time into an error.
        max_connections=_MOST_CONNECTIONS,
        # Shown by CLIENT LIST. Given here, the driver need not search its own version on disk
        # each time it connects.
        driver_info=DriverInfo(name="vconflow", lib_version=__version__),
    )
    # The driver's reply parsers differ between versions and cost time; we read plain replies.
    client.response_callbacks.clear()
    return client


async def _check_server(client: Redis, durability: str) -> None:
    try:
        info = _parse_info(await client.execute_command("INFO", "server"))
        policy = await _setting(client, "maxmemory-policy")
        fsync = await _setting(client, "appendfsync")
        appendonly = await _setting(client, "appendonly")
    except (driver.AuthenticationError, driver.NoPermissionError) as error:
        raise _refusal(f"the server refuses the credentials: {error}") from error
    except driver.ResponseError as error:
        # `NOAUTH` arrives as a plain reply error when no password was sent at all.
        raise _refusal(f"the server refuses us: {error}") from error
    except (driver.ConnectionError, driver.TimeoutError, OSError) as error:
        raise _refusal(f"cannot reach the server: {error}") from error
    _check_version(info)
    if policy not in ("noeviction", ""):
        raise _refusal(
            f"maxmemory-policy is {policy!r}: a full server would evict accepted conversations; "
            "set it to 'noeviction'"
        )
    if durability and appendonly != "yes":
        raise _refusal(f"VCONFLOW_DURABILITY={durability} needs 'appendonly yes'")
    if durability == "fsync" and (appendonly != "yes" or fsync != "always"):
        raise _refusal(
            "VCONFLOW_DURABILITY=fsync needs 'appendonly yes' and 'appendfsync always', "
            f"the server has appendonly {appendonly}, appendfsync {fsync}"
        )


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
