"""The versions of the configuration in Redis (`ports/config_store.py`)."""

import asyncio
import secrets
import time
from typing import Any, Self

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.keys import Keys
from vconflow.adapters.redis.scripts import ScriptCall, Scripts
from vconflow.errors import Conflict, Permanent, Unavailable
from vconflow.ports.config_store import KEPT_VERSIONS, ConfigVersion, NewVersion, StoredConfig

__all__ = ["RedisConfigStore"]

_LISTEN_SECONDS = 1.0
"""The longest single wait for a message: well below the silence at which connections are cut."""

_encode = msgspec.msgpack.Encoder().encode


class _Known(msgspec.Struct):
    """What Redis holds of a version beside its document."""

    hash: str
    file_hash: str
    at: int
    by: str
    comment: str


_known = msgspec.msgpack.Decoder(_Known).decode


class RedisConfigStore:
    """Two hashes by serial, for the documents and for what is known of them, and the serial."""

    def __init__(self, client: Redis, scripts: Scripts, keys: Keys) -> None:
        self._client = client
        self._scripts = scripts
        self._keys = keys
        self._news: PubSub | None = None

    async def serial(self) -> int:
        """See `ConfigStore.serial`."""
        with redis_errors():
            return int(await self._client.execute_command("GET", self._keys.config) or 0)

    async def current(self) -> StoredConfig | None:
        """See `ConfigStore.current`."""
        # Between the two commands a hundred versions could be stored; then look once more.
        while serial := await self.serial():
            if found := await self.get(serial):
                return found
            if serial == await self.serial():
                raise Permanent(f"Redis has lost version {serial} of the configuration")
        return None

    async def get(self, serial: int) -> StoredConfig | None:
        """See `ConfigStore.get`."""
        with redis_errors():
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.execute_command("HGET", self._keys.config_versions, serial)
                pipe.execute_command("HGET", self._keys.config_documents, serial)
                known, document = await pipe.execute()
        if known is None or document is None:
            return None
        return StoredConfig(version=_version(serial, known), document=_document(serial, document))

    async def versions(self) -> list[ConfigVersion]:
        """See `ConfigStore.versions`."""
        with redis_errors():
            flat = await self._client.execute_command("HGETALL", self._keys.config_versions)
        pairs = zip(flat[::2], flat[1::2], strict=True)
        found = [_version(int(serial), known) for serial, known in pairs]
        return sorted(found, key=lambda version: version.serial, reverse=True)

    async def put(self, new: NewVersion, *, expected: int) -> ConfigVersion:
        """See `ConfigStore.put`."""
        call, keys = ScriptCall(), self._keys
        known = {
            "hash": new.hash,
            "file_hash": new.file_hash,
            "by": new.by,
            "comment": new.comment,
        }
        call.arg(_encode(known))
        call.arg(msgspec.json.encode(new.document))
        header = [
            call.key(keys.config),
            call.key(keys.config_versions),
            call.key(keys.config_documents),
            expected,
            KEPT_VERSIONS,
            keys.config_channel,
            secrets.token_hex(8),
        ]
        serial, *rest = await self._scripts.run("config_put", call, header)
        if not serial:
            raise Conflict("The configuration was changed by somebody else meanwhile")
        return ConfigVersion(serial=serial, at=rest[0], **known)

    async def wait_for_news(self, seconds: float) -> None:
        """See `ConfigStore.wait_for_news`."""
        end = time.monotonic() + seconds
        try:
            with redis_errors():
                await self._listen(end)
        except (Unavailable, Permanent):
            # Not heard is not lost: whoever waits looks at the serial afterwards.
            await self._stop_listening()
            await asyncio.sleep(max(0.0, min(_LISTEN_SECONDS, end - time.monotonic())))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop_listening()

    async def _stop_listening(self) -> None:
        news, self._news = self._news, None
        if news is not None:
            await news.aclose()

    async def _listen(self, end: float) -> None:
        if self._news is None:
            self._news = self._client.pubsub(ignore_subscribe_messages=True)
            await self._news.subscribe(self._keys.config_channel)
            return  # what was announced before must be looked for
        while (left := end - time.monotonic()) > 0:
            if await self._news.get_message(timeout=min(left, _LISTEN_SECONDS)):
                return


def _version(serial: int, known: bytes) -> ConfigVersion:
    return ConfigVersion(serial=serial, **msgspec.structs.asdict(_known(known)))


def _document(serial: int, document: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(document, type=dict[str, Any])
    except msgspec.DecodeError:
        raise Permanent(f"version {serial} of the configuration is not JSON") from None
