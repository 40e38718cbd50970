"""Reading lists with leases (`ports/stream.py`)."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from redis.exceptions import ResponseError

from vconflow.adapters.redis.client import Connections
from vconflow.adapters.redis.consumer_name import ConsumerName
from vconflow.adapters.redis.depth import measure
from vconflow.adapters.redis.entries import parse_entry
from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.groups import create_group, is_without_group
from vconflow.adapters.redis.keys import GROUP, Keys
from vconflow.adapters.redis.scripts import ScriptCall, Scripts
from vconflow.model.entry import Entry
from vconflow.ports.ledger import NEVER, Progress, decode_progress
from vconflow.ports.stream import Displaced, ListDepth, ReadRequest, Resumed
from vconflow.telemetry import events

__all__ = ["RedisStream"]

_CHUNK = 256

_NO_CRASH = -1
"""In place of the idle time of an entry that nobody has worked on."""


class RedisStream:
    """One replica's view of the lists. `lease` is in seconds."""

    def __init__(
        self,
        connections: Connections,
        scripts: Scripts,
        keys: Keys,
        name: ConsumerName,
        *,
        lease: float,
    ) -> None:
        self._client = connections.commands
        self._reader = connections.reader
        self._block_limit = connections.block_limit
        self._scripts = scripts
        self._keys = keys
        self._name = name
        self._lease_ms = int(lease * 1000)
        self._reader_id = connections.reader_id
        self._waiting = False
        self._woken = False
        self._reads = 0

    @property
    def consumer(self) -> str:
        """See `EntryStream.consumer`."""
        return self._name.name

    async def ensure(self, lists: Sequence[str]) -> None:
        """See `EntryStream.ensure`."""
        with redis_errors():
            for name in lists:
                await create_group(self._client, self._keys.list(name))

    async def read(self, requests: Sequence[ReadRequest], total: int, block: float) -> list[Entry]:
        """See `EntryStream.read`."""
        self._woken = False
        names = self._keys.lists(name for request in requests for name in request.lists)
        if len(names) > 1:
            entries = await self._read_shares(requests, total, names)
            if entries:
                return entries
            # One of each at most: whatever arrives first ends the wait, the rest comes by shares.
            count = 1
        else:
            count = min(requests[0].budget, total)
        return await self._read_blocking(names, count, min(block, self._block_limit))

    async def _read_shares(
        self, requests: Sequence[ReadRequest], total: int, names: Mapping[str, str]
    ) -> list[Entry]:
        call = ScriptCall()
        shares = [
            [request.budget, [call.key(self._keys.list(name)) for name in request.lists]]
            for request in requests
        ]
        reply: list[Any] = await self._scripts.run("read", call, [self.consumer, total, shares])
        entries: list[Entry] = []
        for key, items in zip(reply[::2], reply[1::2], strict=True):
            entries += await self._parse(names[key.decode()], items)
        return entries

    async def _read_blocking(
        self, names: Mapping[str, str], count: int, block: float
    ) -> list[Entry]:
        options = ("GROUP", GROUP, self.consumer, "COUNT", count)
        milliseconds = max(1, int(block * 1000))
        with redis_errors():
            if self._woken:
                return []
            self._waiting = True
            self._reads += 1
            try:
                reply = await self._reader.execute_command(
                    "XREADGROUP",
                    *options,
                    "BLOCK",
                    milliseconds,
                    "STREAMS",
                    *names,
                    *">" * len(names),
                )
            except ResponseError as error:
                if not is_without_group(error):
                    raise
                # The stream was deleted by hand, or Redis lost its data: start it anew.
                await self.ensure(list(names.values()))
                return []
            finally:
                self._waiting = False
        entries: list[Entry] = []
        for key, items in reply or []:
            entries += await self._parse(names[key.decode()], items)
        return entries

    async def _parse(self, list_name: str, items: list[Any]) -> list[Entry]:
        """Entries from replies. What somebody else wrote to our stream goes to the dead letters."""
        entries: list[Entry] = []
        for item in items:
            try:
                entries.append(parse_entry(list_name, item))
            except (KeyError, ValueError) as error:
                events.unhandled(f"entry {item[0].decode()} of list {list_name}", error)
                await self._reject(list_name, item)
        return entries

    async def _reject(self, list_name: str, item: list[Any]) -> None:
        key = self._keys.list(list_name)
        with redis_errors():
            async with self._client.pipeline(transaction=True) as pipe:
                reason = ("stage", "entry", "error", "no entry of vconflow")
                pipe.execute_command("XADD", self._keys.dead(list_name), "*", *reason, *item[1])
                pipe.execute_command("XACK", key, GROUP, item[0])
                pipe.execute_command("XDEL", key, item[0])
                await pipe.execute()

    async def wake(self) -> None:
        """See `EntryStream.wake`."""
        self._woken = True
        read = self._reads
        # The command may not have reached the server yet: then there is nothing to unblock so far.
        while self._waiting and self._reads == read:
            with redis_errors():
                if await self._client.execute_command("CLIENT", "UNBLOCK", self._reader_id.value):
                    return
            await asyncio.sleep(0.005)

    async def recover(self, list_name: str, after: str, count: int) -> list[Resumed]:
        """See `EntryStream.recover`."""
        while True:
            idle, items = await self._own_history(list_name, after, count)
            if not items:
                return []
            # A page may hold nothing but entries that were deleted by hand.
            if resumed := await self._resume(list_name, items, idle):
                return resumed
            after = items[-1][0].decode()

    async def _own_history(
        self, list_name: str, after: str, count: int
    ) -> tuple[dict[bytes, int], list[Any]]:
        """Idle times in milliseconds, and what is pending under our name."""
        key = self._keys.list(list_name)
        with redis_errors():
            # Before the read: that one resets the idle times.
            pending = await self._client.execute_command(
                "XPENDING", key, GROUP, f"({after}" if after else "-", "+", count, self.consumer
            )
            if not pending:
                return {}, []
            options = ("GROUP", GROUP, self.consumer, "COUNT", len(pending))
            reply = await self._client.execute_command(
                "XREADGROUP", *options, "STREAMS", key, after or "0"
            )
        items: list[Any] = reply[0][1] if reply else []
        return {row[0]: int(row[2]) for row in pending}, items

    async def take_over(
        self, list_name: str, count: int, dropped: Collection[str] = ()
    ) -> list[Resumed]:
        """See `EntryStream.take_over`."""
        key = self._keys.list(list_name)
        with redis_errors():
            try:
                idle = await self._client.execute_command(
                    "XPENDING", key, GROUP, "IDLE", self._lease_ms, "-", "+", count
                )
            except ResponseError as error:
                if not is_without_group(error):
                    raise
                # The stream was deleted by hand, or Redis lost its data: start it anew.
                await self.ensure([list_name])
                return []
            if not idle:
                return []
            _, items, gone = await self._client.execute_command(
                "XAUTOCLAIM", key, GROUP, self.consumer, self._lease_ms, idle[0][0], "COUNT", count
            )
        del gone  # deleted from the stream by hand: XAUTOCLAIM has dropped them from the group
        own = self.consumer.encode()
        never_came = {row[0] for row in idle if row[1] == own and row[0].decode() not in dropped}
        times = {row[0]: _NO_CRASH if row[0] in never_came else int(row[2]) for row in idle}
        return await self._resume(list_name, items, times)

    async def _resume(
        self, list_name: str, items: list[Any], idle: Mapping[bytes, int]
    ) -> list[Resumed]:
        gone = [item[0] for item in items if not item[1]]
        if gone:
            with redis_errors():
                await self._client.execute_command("XACK", self._keys.list(list_name), GROUP, *gone)
        entries = await self._parse(list_name, [item for item in items if item[1]])
        if not entries:
            return []
        call = ScriptCall()
        runs = [
            [
                call.key(self._keys.run(list_name, entry.id)),
                idle.get(entry.id.encode(), self._lease_ms),
            ]
            for entry in entries
        ]
        replies = await self._scripts.run("resume", call, [NEVER, runs])
        return [
            Resumed(entry, _progress(entry, *reply))
            for entry, reply in zip(entries, replies, strict=True)
        ]

    async def renew(self, owned: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
        """See `EntryStream.renew`."""
        lost: list[tuple[str, str]] = []
        # Even without entries the hold on the name is to be renewed.
        for chunk in _chunks(owned) or [{}]:
            lost += await self._renew(chunk)
        return lost

    async def _renew(self, owned: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
        call = ScriptCall()
        header = [
            self.consumer,
            call.key(self._keys.consumer(self.consumer)),
            self._name.token,
            self._name.ttl_ms,
            [[call.key(self._keys.list(name)), ids] for name, ids in owned.items()],
        ]
        held, *lost = await self._scripts.run("renew", call, header)
        if not held:
            raise Displaced(f"another replica holds the name {self.consumer!r}")
        return [
            (name, entry.decode())
            for name, entries in zip(owned, lost, strict=True)
            for entry in entries
        ]

    async def hand_over(self, owned: Mapping[str, Sequence[str]]) -> None:
        """See `EntryStream.hand_over`."""
        for chunk in _chunks(owned):
            call = ScriptCall()
            items = [
                [call.key(self._keys.list(name)), entry, call.key(self._keys.run(name, entry))]
                for name, entries in chunk.items()
                for entry in entries
            ]
            header = [
                self.consumer,
                self._lease_ms,
                call.key(self._keys.consumer(self.consumer)),
                self._name.token,
                items,
            ]
            await self._scripts.run("hand_over", call, header)

    async def reap(self, lists: Sequence[str]) -> None:
        """Remove consumers of replicas that are gone and own nothing."""
        for list_name in lists:
            key = self._keys.list(list_name)
            with redis_errors():
                rows = await self._client.execute_command("XINFO", "CONSUMERS", key, GROUP)
            names = [row[1].decode() for row in rows if row[3] == 0]
            others = [name for name in names if name != self.consumer]
            if others:
                call = ScriptCall()
                header = [
                    call.key(key),
                    [[name, call.key(self._keys.consumer(name))] for name in others],
                ]
                await self._scripts.run("reap", call, header)

    async def depth(self, lists: Sequence[str]) -> dict[str, ListDepth]:
        """See `EntryStream.depth`."""
        return await measure(self._client, self._keys, lists)


def _chunks(owned: Mapping[str, Sequence[str]]) -> list[dict[str, list[str]]]:
    """Entry ids by list, in parts that do not keep Redis busy for long."""
    pairs = [(name, entry) for name, entries in owned.items() for entry in entries]
    chunks: list[dict[str, list[str]]] = []
    for start in range(0, len(pairs), _CHUNK):
        chunk: dict[str, list[str]] = {}
        for name, entry in pairs[start : start + _CHUNK]:
            chunk.setdefault(name, []).append(entry)
        chunks.append(chunk)
    return chunks


def _progress(entry: Entry, crashes: int, due: int, held: bytes) -> Progress:
    return decode_progress(held or entry.progress).resumed(crashes, due)
