"""Holding entries and the name they are held under, and giving both up."""

from collections.abc import Mapping, Sequence

from redis.exceptions import ResponseError

from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.keys import GROUP
from vconflow.adapters.redis.scripts import ScriptCall
from vconflow.adapters.redis.stream.member import GroupMember
from vconflow.ports.stream import Displaced

__all__ = ["Leases"]

_CHUNK = 256


class Leases(GroupMember):
    """`renew`, `hand_over` and `reap` of `EntryStream`."""

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
        for start in range(0, len(lists), _CHUNK):
            keys = [self._keys.list(name) for name in lists[start : start + _CHUNK]]
            with redis_errors():
                async with self._client.pipeline(transaction=False) as pipe:
                    for key in keys:
                        pipe.execute_command("XINFO", "CONSUMERS", key, GROUP)
                    replies = await pipe.execute(raise_on_error=False)
            for key, rows in zip(keys, replies, strict=True):
                if isinstance(rows, ResponseError):
                    continue  # no group, or no stream at all: nobody is to be removed there
                await self._reap(key, [row[1].decode() for row in rows if row[3] == 0])

    async def _reap(self, key: str, idle: Sequence[str]) -> None:
        """`idle` are consumers that own nothing."""
        others = [name for name in idle if name != self.consumer]
        if others:
            call = ScriptCall()
            header = [
                call.key(key),
                [[name, call.key(self._keys.consumer(name))] for name in others],
            ]
            await self._scripts.run("reap", call, header)


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
