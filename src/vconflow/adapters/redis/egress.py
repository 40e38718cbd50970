"""Handing vCons out of lists to clients that pull (`ports/egress.py`)."""

from collections.abc import Sequence

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from vconflow.adapters.redis.entries import parse_entry
from vconflow.adapters.redis.errors import as_ours, redis_errors
from vconflow.adapters.redis.groups import create_group, is_without_group
from vconflow.adapters.redis.keys import GROUP, Keys
from vconflow.adapters.redis.scripts import ScriptCall, Scripts
from vconflow.model.entry import Entry

__all__ = ["RedisEgress"]

_CONSUMER = "http"
"""All replicas pop under one name: a popped entry belongs to the request, not to a replica."""


_MOST_RETURNED = 10_000


class RedisEgress:
    """Popping with a lease of `lease` seconds."""

    def __init__(self, client: Redis, scripts: Scripts, keys: Keys, *, lease: float) -> None:
        self._client = client
        self._scripts = scripts
        self._keys = keys
        self._lease_ms = int(lease * 1000)

    async def lease(self, list_name: str, count: int) -> list[Entry]:
        """See `EgressLists.lease`. What came back is older than what is new, so it goes first."""
        key = self._keys.list(list_name)
        with redis_errors():
            try:
                entries = await self._reclaim(key, count)
                if len(entries) < count:
                    reply = await self._client.execute_command(
                        "XREADGROUP", "GROUP", GROUP, _CONSUMER, "COUNT", count - len(entries),
                        "STREAMS", key, ">",
                    )  # fmt: skip
                    entries += reply[0][1] if reply else []
            except ResponseError as error:
                if not is_without_group(error):
                    raise
                if not await self._client.execute_command("EXISTS", key):
                    return []
                await create_group(self._client, key)
                return await self.lease(list_name, count)
        return [parse_entry(list_name, item) for item in entries]

    async def _reclaim(self, key: str, count: int) -> list[list[object]]:
        found: list[list[object]] = []
        cursor: bytes | str = "0-0"
        while len(found) < count:
            cursor, items, _ = await self._client.execute_command(
                "XAUTOCLAIM",
                key,
                GROUP,
                _CONSUMER,
                self._lease_ms,
                cursor,
                "COUNT",
                count - len(found),
            )
            found += items
            if cursor == b"0-0":
                break
        return found

    async def ack(self, list_name: str, entries: Sequence[Entry]) -> int:
        """See `EgressLists.ack`."""
        call = ScriptCall()
        items = [
            [entry.id, call.key(self._keys.meta(entry.uuid)), entry.counted] for entry in entries
        ]
        header = [call.key(self._keys.list(list_name)), items]
        return int(await self._scripts.run("egress_ack", call, header)) if items else 0

    async def give_back(self, list_name: str, entries: Sequence[Entry]) -> None:
        """See `EgressLists.give_back`."""
        if entries:
            ids = [entry.id for entry in entries]
            key = self._keys.list(list_name)
            with redis_errors():
                await self._client.execute_command(
                    "XCLAIM", key, GROUP, _CONSUMER, 0, *ids, "IDLE", self._lease_ms + 1, "JUSTID"
                )

    async def depth(self, list_name: str) -> int:
        """See `EgressLists.depth`."""
        key = self._keys.list(list_name)
        with redis_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                pipe.execute_command("XLEN", key)
                pipe.execute_command("XPENDING", key, GROUP)
                # Leases that have ended: these entries are there to be taken again.
                pipe.execute_command(
                    "XPENDING", key, GROUP, "IDLE", self._lease_ms, "-", "+", _MOST_RETURNED
                )
                length, pending, returned = await pipe.execute(raise_on_error=False)
        for reply in (length, pending):
            if isinstance(reply, ResponseError) and not is_without_group(reply):
                raise as_ours(reply) from reply
        leased = 0 if isinstance(pending, ResponseError) else int(pending[0]) - len(returned)
        return max(0, int(length) - leased)
