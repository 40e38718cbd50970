"""The servers under the state machine: what is in them, and how time passes for them."""

import asyncio
import copy
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

import redis
from entry_books import DOCUMENT_TTL, LEASE

from vconflow.adapters.redis.backend import RedisOptions, open_backend
from vconflow.adapters.redis.keys import GROUP, Keys
from vconflow.ports.ledger import NEVER
from vconflow.testing.contracts.backend import Backend
from vconflow.testing.memory import ManualClock, MemoryServer

__all__ = ["LISTS", "MemoryUnderMachine", "Observed", "RedisUnderMachine", "UnderMachine"]

LISTS = ("in", "next")


@dataclass
class Observed:
    """What a server holds: uuids by (list, place), owners by (list, entry id), and counters."""

    places: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    owners: dict[tuple[str, str], str] = field(default_factory=dict)
    counters: dict[str, tuple[int, int]] = field(default_factory=dict)


class UnderMachine(Protocol):
    """A server that the machine drives."""

    async def open(self, name: str) -> Backend:
        """A replica that never lets its name go by itself."""
        ...

    def now(self) -> float:
        """Unix seconds of the server."""
        ...

    async def let_pass(self, seconds: float) -> None:
        """Everything that was written becomes that much older."""
        ...

    def observe(self, uuids: list[str]) -> Observed: ...

    def snapshot(self) -> object:
        """Everything a commit could write, to compare."""
        ...

    async def close(self) -> None: ...


class MemoryUnderMachine:
    """The server in memory, on a clock of its own."""

    def __init__(self) -> None:
        self._clock = ManualClock()
        self._server = MemoryServer(self._clock)

    async def open(self, name: str) -> Backend:
        return self._server.replica(
            name, lease=LEASE, egress_lease=LEASE, document_ttl=DOCUMENT_TTL
        )

    def now(self) -> float:
        return self._clock.now()

    async def let_pass(self, seconds: float) -> None:
        await self._clock.advance(seconds)

    def observe(self, uuids: list[str]) -> Observed:
        store, seen = self._server.store, Observed()
        for name in LISTS:
            entries, letters = store.list(name), store.dead_list(name).letters.values()
            seen.places.update((name, "waiting", entry.uuid) for entry in entries.waiting.values())
            seen.places.update((name, "dead", held.letter.uuid) for held in letters)
            for entry_id, held in entries.pending.items():
                seen.places[name, "pending", held.entry.uuid] += 1
                seen.owners[name, entry_id] = held.owner
        out = store.list("out")
        seen.places.update(("out", "out", entry.uuid) for entry in out.waiting.values())
        seen.places.update(("out", "out", held.entry.uuid) for held in out.pending.values())
        for uuid in uuids:
            meta = store.vcons.metas.get(uuid)
            seen.counters[uuid] = (meta.open, meta.egress) if meta else (0, 0)
        return seen

    def snapshot(self) -> object:
        store = self._server.store
        kept = (store.vcons.documents, store.vcons.metas, store.vcons.index)
        kept = (*kept, store.histories)
        ends = (store.vcons.created, store.vcons.last_copies, store.vcons.partners)
        return copy.deepcopy(([dict(part.items()) for part in kept], ends, store.lists, store.dead))

    async def close(self) -> None:
        """Nothing is held."""


_SNAPSHOT = """
local found = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local ends = redis.call('PTTL', key) < 0 and '' or ' ends'
  -- The answer of a call is kept in case it is asked for again.
  if not string.find(key, 'vconflow:batch:', 1, true) then
    found[#found + 1] = key .. ' ' .. redis.sha1hex(redis.call('DUMP', key)) .. ends
  end
end
table.sort(found)
return found
"""

# A server's clock cannot be set; but all that it compares with its clock can be made older.
_LET_PASS = """
local ms, never = tonumber(ARGV[1]), tonumber(ARGV[2])
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left >= 0 then redis.call('PEXPIRE', key, left - ms) end
  local kind = redis.call('TYPE', key).ok
  if kind == 'stream' then
    local pending = redis.pcall('XPENDING', key, 'vconflow', '-', '+', 100000)
    for _, row in ipairs(pending.err and {} or pending) do
      redis.call('XCLAIM', key, 'vconflow', row[2], 0, row[1], 'IDLE', row[3] + ms, 'JUSTID')
    end
  elseif kind == 'hash' then
    local due = tonumber(redis.call('HGET', key, 'due') or 0)
    if due > 0 and due < never then
      redis.call('HSET', key, 'due', string.format('%.0f', due - ms))
    end
  elseif key == 'vconflow:expiring' or string.find(key, '^vconflow:leases:') then
    for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
      redis.call('ZINCRBY', key, -ms, member)
    end
  end
end
"""


class RedisUnderMachine:
    """A real server, emptied."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys = Keys()
        self._replicas = AsyncExitStack()
        self._client = redis.Redis.from_url(url)
        self._client.flushall()

    async def open(self, name: str) -> Backend:
        options = RedisOptions(
            replica=name, lease=LEASE, egress_lease=LEASE, document_ttl=DOCUMENT_TTL
        )
        backend = await self._replicas.enter_async_context(open_backend(self._url, options))
        await backend.stream.ensure(LISTS)
        return backend

    def now(self) -> float:
        return time.time()

    async def let_pass(self, seconds: float) -> None:
        self._client.eval(_LET_PASS, 0, int(seconds * 1000), NEVER)
        # Entry ids and revisions are not made older, but are told apart by the millisecond.
        await asyncio.sleep(0.002)

    def observe(self, uuids: list[str]) -> Observed:
        names = (*LISTS, "out")
        with self._client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.xrange(self._keys.list(name))
                pipe.xpending_range(self._keys.list(name), GROUP, "-", "+", 10_000)
                pipe.xrange(self._keys.dead(name))
            for uuid in uuids:
                pipe.hmget(self._keys.meta(uuid), "open", "egress")
            replies: list[Any] = pipe.execute(raise_on_error=False)
        seen = Observed()
        for position, name in enumerate(names):
            _observe_list(seen, name, *replies[3 * position : 3 * position + 3])
        for uuid, (opened, egress) in zip(uuids, replies[3 * len(names) :], strict=True):
            seen.counters[uuid] = (int(opened or 0), int(egress or 0))
        return seen

    def snapshot(self) -> object:
        return self._client.eval(_SNAPSHOT, 0)

    async def close(self) -> None:
        await self._replicas.aclose()
        self._client.close()


def _observe_list(seen: Observed, name: str, entries: Any, pending: Any, dead: Any) -> None:
    rows = [] if isinstance(pending, Exception) else pending  # nobody has read the list yet
    owners = {row["message_id"]: row["consumer"].decode() for row in rows}
    for entry_id, fields in entries:
        place = "pending" if entry_id in owners else "waiting"
        seen.places[name, "out" if name == "out" else place, fields[b"uuid"].decode()] += 1
        if place == "pending" and name != "out":
            seen.owners[name, entry_id.decode()] = owners[entry_id]
    assert set(owners) <= {entry_id for entry_id, _ in entries}
    seen.places.update((name, "dead", fields[b"uuid"].decode()) for _, fields in dead)
