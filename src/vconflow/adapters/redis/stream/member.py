"""A replica as a member of the consumer groups of its lists."""

from collections.abc import Sequence
from typing import Any

from vconflow.adapters.redis.client import Connections
from vconflow.adapters.redis.consumer_name import ConsumerName
from vconflow.adapters.redis.entries import parse_entry
from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.groups import create_groups
from vconflow.adapters.redis.keys import GROUP, Keys
from vconflow.adapters.redis.scripts import Scripts
from vconflow.model.entry import Entry
from vconflow.telemetry import events

__all__ = ["GroupMember"]


class GroupMember:
    """What reading, resuming and renewing have in common. `lease` is in seconds."""

    def __init__(
        self,
        connections: Connections,
        scripts: Scripts,
        keys: Keys,
        name: ConsumerName,
        *,
        lease: float,
    ) -> None:
        self._connections = connections
        self._client = connections.commands
        self._scripts = scripts
        self._keys = keys
        self._name = name
        self._lease_ms = int(lease * 1000)

    @property
    def consumer(self) -> str:
        """See `EntryStream.consumer`."""
        return self._name.name

    async def ensure(self, lists: Sequence[str]) -> None:
        """See `EntryStream.ensure`."""
        with redis_errors():
            await create_groups(self._client, [self._keys.list(name) for name in lists])

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
