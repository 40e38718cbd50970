"""Reading new entries, with a wait that can be ended from outside."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from redis.exceptions import ResponseError

from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.groups import is_without_group
from vconflow.adapters.redis.keys import GROUP
from vconflow.adapters.redis.scripts import ScriptCall
from vconflow.adapters.redis.stream.member import GroupMember
from vconflow.model.entry import Entry
from vconflow.ports.stream import ReadRequest

__all__ = ["Reading"]


class Reading(GroupMember):
    """`read` and `wake` of `EntryStream`."""

    _waiting = False
    _woken = False
    _reads = 0

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
        return await self._read_blocking(names, count, min(block, self._connections.block_limit))

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
        with redis_errors():
            if self._woken:
                return []
            try:
                reply = await self._wait_for_entries(names, count, max(1, int(block * 1000)))
            except ResponseError as error:
                if not is_without_group(error):
                    raise
                # The stream was deleted by hand, or Redis lost its data: start it anew.
                await self.ensure(list(names.values()))
                return []
        entries: list[Entry] = []
        for key, items in reply or []:
            entries += await self._parse(names[key.decode()], items)
        return entries

    async def _wait_for_entries(self, keys: Collection[str], count: int, milliseconds: int) -> Any:
        options = ("GROUP", GROUP, self.consumer, "COUNT", count, "BLOCK", milliseconds)
        newest = ">" * len(keys)
        return await self._wait("XREADGROUP", *options, "STREAMS", *keys, *newest)

    async def _wait(self, *command: str | int) -> Any:
        self._waiting = True
        self._reads += 1
        try:
            return await self._connections.reader.execute_command(*command)
        finally:
            self._waiting = False

    async def wake(self) -> None:
        """See `EntryStream.wake`."""
        self._woken = True
        read = self._reads
        # The command may not have reached the server yet: then there is nothing to unblock so far.
        while self._waiting and self._reads == read:
            with redis_errors():
                reader = self._connections.reader_id.value
                if await self._client.execute_command("CLIENT", "UNBLOCK", reader):
                    return
            await asyncio.sleep(0.005)
