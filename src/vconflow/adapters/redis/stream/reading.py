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


_CHUNK = 1_000
_EVERY = 1_000_000
_FEW = 32
"""So many lists are looked at by every read; of more only those that are said to be ready."""
_SAMPLE = 128
_LOOK_SECONDS = 30.0
"""Between two times that all lists count as ready: somebody else may have written to one."""


class Reading(GroupMember):
    """`read` and `wake` of `EntryStream`."""

    _waiting = False
    _woken = False
    _reads = 0
    _look_at = 0.0

    async def ensure(self, lists: Sequence[str]) -> None:
        """See `EntryStream.ensure`."""
        await super().ensure(lists)
        # One that fed nobody so far may be full of entries that nobody announced.
        self._look_at = 0.0

    async def read(self, requests: Sequence[ReadRequest], total: int, block: float) -> list[Entry]:
        """See `EntryStream.read`."""
        self._woken = False
        if total < 1:
            return []  # to the server, 0 would mean all there are
        if sum(len(request.lists) for request in requests) > _FEW:
            return await self._read_ready(requests, total, block)
        names = self._keys.lists(name for request in requests for name in request.lists)
        if len(names) > 1:
            entries = await self._read_shares(requests, total, names)
            if entries:
                return entries
            # One of each at most: whatever arrives first ends the wait, the rest comes by shares.
            count = 1
        else:
            count = min(requests[0].budget, total)
        return await self._read_blocking(names, count, block)

    async def _read_ready(
        self, requests: Sequence[ReadRequest], total: int, block: float
    ) -> list[Entry]:
        """What a read costs does not depend on how many lists there are, but on how many wait."""
        await self._look_again(requests)
        has_waited = False
        while True:
            bell, likely = await self._likely(requests)
            if likely and not self._woken:
                names = self._keys.lists(name for request in likely for name in request.lists)
                entries = await self._read_shares(likely, total, names, tells=True)
                if entries:
                    return entries
                # Those are not ready any more, or have got their group now.
            elif has_waited or self._woken:
                return []
            else:
                await self._wait_for_bell(bell, block)
                has_waited = True

    async def _look_again(self, requests: Sequence[ReadRequest]) -> None:
        """Now and then have all lists count as ready."""
        now = asyncio.get_running_loop().time()
        if now < self._look_at:
            return
        keys = [self._keys.list(name) for request in requests for name in request.lists]
        with redis_errors():
            for start in range(0, len(keys), _CHUNK):
                chunk = keys[start : start + _CHUNK]
                await self._client.execute_command("SADD", self._keys.ready, *chunk)
        self._look_at = now + _LOOK_SECONDS

    async def _likely(self, requests: Sequence[ReadRequest]) -> tuple[str, list[ReadRequest]]:
        """Where the bell stood, and what is wanted and ready: of much only some."""
        bell, ready = await self._ready(_SAMPLE)
        likely = _among(requests, ready)
        if not likely and len(ready) == _SAMPLE:
            # All that was drawn is of chains that have no room.
            bell, ready = await self._ready(_EVERY)
            likely = _among(requests, ready)
        return bell, likely

    async def _ready(self, count: int) -> tuple[str, set[str]]:
        bell, keys = await self._scripts.run("ready", ScriptCall(), [count])
        start = len(self._keys.list(""))
        return bell.decode(), {key.decode()[start:] for key in keys}

    async def _wait_for_bell(self, last: str, block: float) -> None:
        options = ("BLOCK", self._milliseconds(block), "STREAMS", self._keys.bell, last)
        with redis_errors():
            if not self._woken:
                await self._wait("XREAD", *options)

    async def _read_shares(
        self,
        requests: Sequence[ReadRequest],
        total: int,
        names: Mapping[str, str],
        *,
        tells: bool = False,
    ) -> list[Entry]:
        call = ScriptCall()
        shares = [
            [request.budget, [call.key(self._keys.list(name)) for name in request.lists]]
            for request in requests
        ]
        header = [self.consumer, total, shares, int(tells)]
        is_incomplete, reply = await self._scripts.run("read", call, header)
        entries: list[Entry] = []
        for key, items in zip(reply[::2], reply[1::2], strict=True):
            entries += await self._parse(names[key.decode()], items)
        if is_incomplete and tells and not entries:
            # A stream was deleted by hand, or Redis lost its data: start it anew.
            await self.ensure(list(names.values()))
        return entries

    async def _read_blocking(
        self, names: Mapping[str, str], count: int, block: float
    ) -> list[Entry]:
        with redis_errors():
            if self._woken:
                return []
            try:
                reply = await self._wait_for_entries(names, count, self._milliseconds(block))
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

    def _milliseconds(self, block: float) -> int:
        """How long the server may wait; 0 would mean for ever."""
        return max(1, int(min(block, self._connections.block_limit) * 1000))

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


def _among(requests: Sequence[ReadRequest], ready: set[str]) -> list[ReadRequest]:
    """Of each request the lists that are ready, in its order; in all no more than a sample."""
    likely, left = [], _SAMPLE
    for request in requests:
        lists = tuple(name for name in request.lists if name in ready)[:left]
        if lists:
            likely.append(ReadRequest(lists, request.budget))
            left -= len(lists)
        if left == 0:
            break
    return likely
