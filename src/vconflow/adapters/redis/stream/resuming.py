"""Going on with entries that were begun before, by this replica or by one that is gone."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from redis.exceptions import ResponseError

from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.groups import is_without_group
from vconflow.adapters.redis.keys import GROUP
from vconflow.adapters.redis.scripts import ScriptCall
from vconflow.adapters.redis.stream.member import GroupMember
from vconflow.model.entry import Entry
from vconflow.ports.ledger import NEVER, Progress, decode_progress
from vconflow.ports.stream import Resumed

__all__ = ["Resuming"]

_CLIENTS = b"http"
"""The owner of what clients have on lease."""

_PAGE = 1_000
"""Clients may have had many on lease when a chain began to read the list."""

_LISTS = 500
"""In one call: some hundred microseconds for Redis."""

_NO_CRASH = -1
"""In place of the idle time of an entry that nobody has worked on."""


class Resuming(GroupMember):
    """`left`, `recover` and `take_over` of `EntryStream`."""

    async def left(self, lists: Sequence[str], *, own: bool = False) -> list[str]:
        """See `EntryStream.left`."""
        found: list[str] = []
        for start in range(0, len(lists), _LISTS):
            call = ScriptCall()
            chunk = lists[start : start + _LISTS]
            keys = [call.key(self._keys.list(name)) for name in chunk]
            header = [self.consumer if own else "", self._lease_ms, keys]
            places: list[int] = await self._scripts.run("left", call, header)
            found += [chunk[place - 1] for place in places]
        return found

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
                idle = await self._abandoned(list_name, count)
            except ResponseError as error:
                if not is_without_group(error):
                    raise
                # The stream was deleted by hand, or Redis lost its data: start it anew.
                await self.ensure([list_name])
                return []
            if not idle:
                return []
            # What was deleted from the stream by hand is dropped from the group.
            items = await self._client.execute_command(
                "XCLAIM", key, GROUP, self.consumer, self._lease_ms, *(row[0] for row in idle)
            )
        own = self.consumer.encode()
        never_came = {
            row[0]
            for row in idle
            if row[1] == _CLIENTS or (row[1] == own and row[0].decode() not in dropped)
        }
        times = {row[0]: _NO_CRASH if row[0] in never_came else int(row[2]) for row in idle}
        return await self._resume(list_name, items, times)

    async def _abandoned(self, list_name: str, count: int) -> list[Any]:
        """What nobody renews, at most `count`: id, owner, idle milliseconds, turns of each."""
        key, start = self._keys.list(list_name), "-"
        found: list[Any] = []
        while True:
            rows = await self._client.execute_command(
                "XPENDING", key, GROUP, "IDLE", self._lease_ms, start, "+", _PAGE
            )
            lent = await self._lent(list_name, [row[0] for row in rows if row[1] == _CLIENTS])
            found += [row for row in rows if row[0] not in lent]
            if len(rows) < _PAGE or len(found) >= count:
                return found[:count]
            start = f"({rows[-1][0].decode()}"

    async def _lent(self, list_name: str, entries: list[bytes]) -> set[bytes]:
        """Which of these a client has on lease, from the time before a chain read the list."""
        if not entries:
            return set()
        seconds, microseconds = await self._client.execute_command("TIME")
        now = int(seconds) * 1000 + int(microseconds) // 1000
        ends = await self._client.execute_command("ZMSCORE", self._keys.leases(list_name), *entries)
        return {entry for entry, end in zip(entries, ends, strict=True) if end and float(end) > now}

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


def _progress(entry: Entry, crashes: int, due: int, held: bytes) -> Progress:
    return decode_progress(held or entry.progress).resumed(crashes, due)
