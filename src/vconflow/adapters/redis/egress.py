"""Handing vCons out of lists to clients that pull (`ports/egress.py`).

All replicas hand out under one name, `http`: an entry belongs to a lease, not to a replica. When a
lease ends stands in Redis, by its own clock, and so outlives every process.
"""

import secrets
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from vconflow.adapters.redis.client import PATIENCE
from vconflow.adapters.redis.entries import parse_entry
from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.history import Journal
from vconflow.adapters.redis.keys import Keys
from vconflow.adapters.redis.scripts import ScriptCall, Scripts
from vconflow.errors import Retryable
from vconflow.model.entry import Entry, split_lease_id
from vconflow.ports.history import HistoryRecord

__all__ = ["RedisEgress"]

_BATCH_MS = int(PATIENCE * 2000)
_CHUNK = 1_000
"""So many are lent or settled by one script: it keeps others waiting for a few milliseconds."""


class RedisEgress:
    """Popping with a lease of `lease` seconds, unless another is asked for."""

    def __init__(
        self,
        client: Redis,
        scripts: Scripts,
        keys: Keys,
        journal: Journal,
        *,
        lease: float,
        document_ttl: int,
        index_expiry: int,
    ) -> None:
        self._client = client
        self._scripts = scripts
        self._keys = keys
        self._journal = journal
        self._lease = lease
        self._lifetimes = document_ttl * 1000, index_expiry * 1000

    async def lease(self, list_name: str, count: int, seconds: float | None = None) -> list[Entry]:
        """See `EgressLists.lease`."""
        entries: list[Entry] = []
        while wanted := min(_CHUNK, count - len(entries)):
            try:
                found = await self._lease_some(list_name, wanted, seconds)
            except Retryable:
                if not entries:
                    raise
                break  # what we have got is lent to the caller: it must learn of it
            entries += found
            if len(found) < wanted:
                break
        return entries

    async def _lease_some(self, list_name: str, count: int, seconds: float | None) -> list[Entry]:
        call = ScriptCall()
        lease_ms = _milliseconds(self._lease if seconds is None else seconds)
        silence_ms = _milliseconds(self._lease)
        places = self._places(call, list_name)
        header = [*places, count, lease_ms, silence_ms, *self._batch(call)]
        entries, turns = await self._scripts.run("egress_lease", call, header)
        return [
            parse_entry(list_name, item, int(turn))
            for item, turn in zip(entries, turns, strict=True)
        ]

    async def find(self, list_name: str, lease_ids: Sequence[str]) -> list[Entry]:
        """See `EgressLists.find`."""
        leases = [split_lease_id(name) for name in dict.fromkeys(lease_ids)]
        key = self._keys.list(list_name)
        with redis_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for entry_id, _ in leases:
                    pipe.execute_command("XRANGE", key, entry_id, entry_id)
                replies = await pipe.execute()
        return [
            parse_entry(list_name, reply[0], turn)
            for reply, (_, turn) in zip(replies, leases, strict=True)
            if reply
        ]

    async def ack(self, list_name: str, entries: Sequence[Entry]) -> list[str]:
        """See `EgressLists.ack`."""
        done: list[str] = []
        for chunk in _chunks(entries):
            call = ScriptCall()
            items = [
                [
                    entry.id,
                    entry.turn,
                    call.key(self._keys.meta(entry.uuid)),
                    entry.counted,
                    entry.uuid,
                    self._journal.key(call, entry.uuid),
                    call.key(self._keys.document(entry.uuid)),
                ]
                for entry in chunk
            ]
            stream, leases = self._places(call, list_name)
            header = [
                stream,
                items,
                self._journal.header(),
                self._journal.record(call, HistoryRecord(kind="handed-out", list=list_name)),
                leases,
                *self._batch(call),
                call.key(self._keys.expiring),
                *self._lifetimes,
            ]
            done += _named(chunk, await self._scripts.run("egress_ack", call, header))
        return done

    async def give_back(self, list_name: str, entries: Sequence[Entry]) -> list[str]:
        """See `EgressLists.give_back`."""
        return await self._hold(list_name, entries, 0)

    async def extend(self, list_name: str, entries: Sequence[Entry], seconds: float) -> list[str]:
        """See `EgressLists.extend`."""
        return await self._hold(list_name, entries, max(1, _milliseconds(seconds)))

    async def _hold(self, list_name: str, entries: Sequence[Entry], milliseconds: int) -> list[str]:
        done: list[str] = []
        for chunk in _chunks(entries):
            call = ScriptCall()
            items = [[entry.id, entry.turn] for entry in chunk]
            header = [*self._places(call, list_name), milliseconds, items]
            done += _named(chunk, await self._scripts.run("egress_hold", call, header))
        return done

    async def depth(self, list_name: str) -> int:
        """See `EgressLists.depth`."""
        call = ScriptCall()
        return int(await self._scripts.run("egress_depth", call, self._places(call, list_name)))

    def _places(self, call: ScriptCall, list_name: str) -> list[int]:
        return [call.key(self._keys.list(list_name)), call.key(self._keys.leases(list_name))]

    def _batch(self, call: ScriptCall) -> list[int]:
        """Where the script keeps its answer, in case that is lost and asked for again."""
        return [call.key(self._keys.batch(secrets.token_hex(16))), _BATCH_MS]


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _chunks(entries: Sequence[Entry]) -> list[Sequence[Entry]]:
    return [entries[start : start + _CHUNK] for start in range(0, len(entries), _CHUNK)]


def _named(chunk: Sequence[Entry], positions: Sequence[Any]) -> list[str]:
    return [chunk[int(position) - 1].lease_id for position in positions]
