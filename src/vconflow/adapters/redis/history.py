"""History records in Redis and on the channel of events (`ports/history.py`).

A script adds the time: a record is `<ms> <record>` in the list of its vCon, and an event is
`<ms> <uuid> <record>` on the channel. The record itself is msgpack, with the replica beside it.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis

from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.keys import Keys
from vconflow.adapters.redis.scripts import ScriptCall
from vconflow.ports.history import HistoryRecord

__all__ = ["Journal", "RedisHistory", "parse_event"]

_MOST = 100
"""A vCon's records in Redis: its first one and the newest."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[str, HistoryRecord]).decode


class Journal:
    """Lets scripts append records. `expiry` is in seconds; with 0 they only tell the events."""

    def __init__(self, keys: Keys, replica: str, *, expiry: int) -> None:
        self._replica = replica
        self._keys = keys
        self._header = [expiry * 1000, _MOST, keys.events]
        self._last: tuple[HistoryRecord, bytes] | None = None

    def header(self) -> list[Any]:
        """What the function `remember` of the scripts wants first."""
        return self._header

    def key(self, call: ScriptCall, uuid: str) -> int:
        """The index of a vCon's history in KEYS."""
        return call.key(self._keys.history(uuid))

    def record(self, call: ScriptCall, record: HistoryRecord) -> int:
        """The index of a record in ARGV; it gets the name of this replica."""
        last = self._last
        if last is None or last[0] is not record:
            last = self._last = record, _encode((self._replica, record))
        return call.shared(last[1])


class RedisHistory:
    """Reads the history of vCons."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def of(self, uuid: str) -> Sequence[HistoryRecord]:
        """See `History.of`."""
        with redis_errors():
            reply = await self._client.execute_command("LRANGE", self._keys.history(uuid), 0, -1)
        parts = [item.partition(b" ") for item in reply]
        found = (_parse(at, record, uuid) for at, _, record in parts)
        return [record for record in found if record is not None]


def parse_event(message: bytes) -> HistoryRecord | None:
    """What a message on the channel `Keys.events` says; None for one that is not ours."""
    at, _, rest = message.partition(b" ")
    uuid, _, record = rest.partition(b" ")
    return _parse(at, record, uuid.decode(errors="replace"))


def _parse(at: bytes, record: bytes, uuid: str) -> HistoryRecord | None:
    try:
        replica, held = _decode(record)
        return msgspec.structs.replace(held, at=int(at), uuid=uuid, replica=replica)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return None  # of a newer version, or made by somebody else
