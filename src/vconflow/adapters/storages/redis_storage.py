"""Redis storage: one string per vCon on a Redis of its own, as the reference lays them out."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.resources import files
from typing import Annotated, Any, ClassVar, Final, Self, cast

from msgspec import Meta
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import NoScriptError

from vconflow import __version__
from vconflow.adapters.redis.errors import as_ours, redis_errors
from vconflow.errors import PartialFailure, Permanent, Retryable, Unavailable
from vconflow.model.entry import StoredVcon
from vconflow.ports.component import Options, Resources, Secret
from vconflow.redis_url import complaint_about, parse_cluster_url, parse_sentinel_url

__all__ = ["RedisStorage", "RedisStorageOptions"]

_DEFAULT_URL: Final = "redis://localhost:6379"
_DEFAULT_OF_REFERENCE: Final = "redis://:localhost:6379"
_OURS: Final = frozenset({"vcon", "vcons", "vconflow"})
_CONNECT_SECONDS: Final = 5.0


class RedisStorageOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the storage `redis_storage`."""

    redis_url: Annotated[
        Secret,
        Meta(
            description="The server: `redis://[user:password@]host:port/db`, `rediss://` for TLS, "
            "`unix://path`; `redis://localhost:6379` if unset."
        ),
    ] = Secret(_DEFAULT_URL)
    prefix: Annotated[
        str, Meta(min_length=1, description="A vCon is kept as `<prefix>:<uuid>`.")
    ] = "vcon_storage"
    expires: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="Seconds after its last write at which a vCon goes; 0 is never."),
    ] = 604_800

    def __post_init__(self) -> None:
        if self.prefix.partition(":")[0] in _OURS:
            raise ValueError(f"prefix {self.prefix!r} names keys of vconflow itself")
        url = self.redis_url.reveal()
        if complaint := complaint_about(url) if url != _DEFAULT_OF_REFERENCE else None:
            raise ValueError(f"redis_url: {complaint}")
        if parse_sentinel_url(url) or parse_cluster_url(url):
            raise ValueError("redis_url: Sentinels and clusters are not supported here")

    @property
    def url(self) -> str:
        """Where to connect to."""
        url = self.redis_url.reveal()
        return _DEFAULT_URL if url == _DEFAULT_OF_REFERENCE else url


class RedisStorage:
    """Writes a batch in one round trip; an older revision never replaces a newer one.

    The revision stands beside the document, in `{<prefix>:<uuid>}:rev`. A vCon is held for as long
    as `expires` and the eviction of that Redis let it be.
    """

    options: ClassVar[type[Options]] = RedisStorageOptions
    readable: ClassVar[bool] = True

    def __init__(self, client: Redis, script: str, options: RedisStorageOptions) -> None:
        self._client = client
        self._script = script
        self._script_hash = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        self._prefix = options.prefix
        self._expires = str(options.expires or 0)
        self.forgets = bool(options.expires)

    @classmethod
    @asynccontextmanager
    async def open(cls, options: RedisStorageOptions, resources: Resources) -> AsyncIterator[Self]:
        """Open a client without connecting: vconflow starts while that Redis is away."""
        script = await asyncio.to_thread((files(__package__) / "redis_storage.lua").read_text)
        client = Redis.from_url(
            options.url,
            # The engine repeats, and ends what takes too long.
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=_CONNECT_SECONDS,
            driver_info=DriverInfo(name="vconflow", lib_version=__version__),
        )
        try:
            yield cls(client, script, options)
        finally:
            await client.aclose()

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        """Write a batch. Raises PartialFailure for vCons that Redis refuses."""
        with _mapped_errors():
            replies = await self._run(vcons, "EVALSHA", self._script_hash)
            unknown = [
                vcon
                for vcon, reply in zip(vcons, replies, strict=True)
                if isinstance(reply, NoScriptError)
            ]
            # Rare: the server is new, or somebody flushed its scripts.
            repeated = await self._run(unknown, "EVAL", self._script) if unknown else []
        results = dict(zip(_uuids(vcons), replies, strict=True))
        results |= zip(_uuids(unknown), repeated, strict=True)
        failures = {
            uuid: _not_ours(as_ours(reply))
            for uuid, reply in results.items()
            if isinstance(reply, Exception)
        }
        if failures:
            raise PartialFailure(failures)

    async def get(self, uuid: str) -> bytes | None:
        """Return the bytes last put."""
        with _mapped_errors():
            document = await self._client.get(self._key(uuid))
        return cast("bytes | None", document)

    async def delete(self, uuid: str) -> bool:
        """Remove the document and its revision."""
        key = self._key(uuid)
        with _mapped_errors():
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.unlink(key)
                pipe.unlink(_revision_key(key))
                removed, _ = await pipe.execute()
        return bool(removed)

    async def ping(self) -> None:
        """Write a key that goes by itself: a replica or a full server answers a plain PING too."""
        with _mapped_errors():
            await self._client.set(f"{self._prefix}:ping", b"", ex=1)

    async def _run(self, vcons: Sequence[StoredVcon], command: str, script: str) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipe:
            for vcon in vcons:
                key = self._key(vcon.uuid)
                arguments = (vcon.document, vcon.rev, self._expires)
                pipe.execute_command(command, script, 2, key, _revision_key(key), *arguments)
            return await pipe.execute(raise_on_error=False)

    def _key(self, uuid: str) -> str:
        return f"{self._prefix}:{uuid}"


@contextmanager
def _mapped_errors() -> Iterator[None]:
    try:
        with redis_errors():
            yield
    except Unavailable as error:
        raise _not_ours(error) from error


def _not_ours(error: Unavailable | Permanent) -> Retryable | Permanent:
    """What is unavailable is this storage, not the Redis on which everything runs."""
    return Retryable(str(error)) if isinstance(error, Unavailable) else error


def _revision_key(key: str) -> str:
    # In the same slot as the document, whoever puts the keys on a cluster.
    return f"{{{key}}}:rev"


def _uuids(vcons: Sequence[StoredVcon]) -> list[str]:
    return [vcon.uuid for vcon in vcons]
