"""The journal of followers in Redis (`ports/follow.py`).

A sorted set by due time, of `["entry","uuid"]`, and a hash of what is parked, by the same member.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis

from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.keys import Keys
from vconflow.adapters.redis.replication import confirmed
from vconflow.ports.follow import Handed, Parked

__all__ = ["RedisFollowJournal"]

_HOLD = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
_UNPARK = """
local members = redis.call('HKEYS', KEYS[2])
for _, member in ipairs(members) do redis.call('ZADD', KEYS[1], 'NX', ARGV[1], member) end
redis.call('DEL', KEYS[2])
return #members
"""

_DROP = """
local count = redis.call('HLEN', KEYS[1])
redis.call('DEL', KEYS[1])
return count
"""


class RedisFollowJournal:
    """`replica` is the name that this process alone holds: after a crash it goes on at once.

    `confirmed` has a replica of Redis confirm what is added, before the other side forgets it.
    """

    def __init__(self, client: Redis, keys: Keys, replica: str, *, confirmed: bool = False) -> None:
        self._client = client
        self._keys = keys
        self._replica = replica
        self._confirmed = confirmed

    async def hold(self, follower: str, seconds: float) -> bool:
        """See `FollowJournal.hold`."""
        key = self._keys.follow_holder(follower)
        return bool(await self._call("EVAL", _HOLD, 1, key, self._replica, int(seconds * 1000)))

    async def release(self, follower: str) -> None:
        """See `FollowJournal.release`."""
        await self._call("EVAL", _RELEASE, 1, self._keys.follow_holder(follower), self._replica)

    async def add(self, follower: str, handed: Sequence[Handed], due: float) -> None:
        """See `FollowJournal.add`."""
        # What is there already keeps its time: the answer to the first writing was lost.
        await self._schedule("NX", follower, handed, due, confirm=self._confirmed)

    async def due(self, follower: str, now: float, count: int) -> list[Handed]:
        """See `FollowJournal.due`."""
        key = self._keys.follow(follower)
        found = await self._call(
            "ZRANGE", key, "-inf", _ms(now), "BYSCORE", "LIMIT", 0, count
        )  # fmt: skip
        return [_handed(member) for member in found]

    async def postpone(self, follower: str, handed: Sequence[Handed], due: float) -> None:
        """See `FollowJournal.postpone`."""
        await self._schedule("XX", follower, handed, due)

    async def _schedule(
        self,
        condition: str,
        follower: str,
        handed: Sequence[Handed],
        due: float,
        *,
        confirm: bool = False,
    ) -> None:
        pairs = [part for item in handed for part in (_ms(due), _member(item.entry, item.uuid))]
        command = ("ZADD", self._keys.follow(follower), condition, *pairs)
        if pairs and confirm:
            with redis_errors():
                await confirmed(self._client, self._keys, *command)
        elif pairs:
            await self._call(*command)

    async def done(self, follower: str, handed: Sequence[Handed]) -> None:
        """See `FollowJournal.done`."""
        members = [_member(item.entry, item.uuid) for item in handed]
        if members:
            await self._call("ZREM", self._keys.follow(follower), *members)

    async def park(self, follower: str, parked: Sequence[Parked]) -> None:
        """See `FollowJournal.park`."""
        if not parked:
            return
        members = {_member(item.entry, item.uuid): item for item in parked}
        fields = [part for pair in members.items() for part in (pair[0], _encode(pair[1]))]
        with redis_errors():
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.execute_command("HSET", self._keys.follow_parked(follower), *fields)
                pipe.execute_command("ZREM", self._keys.follow(follower), *members)
                await pipe.execute()

    async def waiting(self, follower: str) -> tuple[int, int]:
        """See `FollowJournal.waiting`."""
        with redis_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                pipe.execute_command("ZCARD", self._keys.follow(follower))
                pipe.execute_command("HLEN", self._keys.follow_parked(follower))
                waiting, parked = await pipe.execute()
        return int(waiting), int(parked)

    async def parked(self, follower: str, count: int) -> list[Parked]:
        """See `FollowJournal.parked`."""
        key = self._keys.follow_parked(follower)
        found: dict[bytes, bytes] = {}
        cursor: Any = 0
        while len(found) < count:
            cursor, page = await self._call("HSCAN", key, cursor, "COUNT", 100)
            found |= dict(zip(page[::2], page[1::2], strict=True))
            if int(cursor) == 0:
                break
        kept = [msgspec.json.decode(value, type=Parked) for value in found.values()]
        return sorted(kept, key=lambda item: item.at)[:count]

    async def unpark(self, follower: str, due: float) -> int:
        """See `FollowJournal.unpark`."""
        keys = (self._keys.follow(follower), self._keys.follow_parked(follower))
        return int(await self._call("EVAL", _UNPARK, 2, *keys, _ms(due)))

    async def drop(self, follower: str) -> int:
        """See `FollowJournal.drop`."""
        return int(await self._call("EVAL", _DROP, 1, self._keys.follow_parked(follower)))

    async def _call(self, *command: Any) -> Any:
        with redis_errors():
            return await self._client.execute_command(*command)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _encode(value: Any) -> bytes:
    return msgspec.json.encode(value)


def _member(entry: str, uuid: str) -> bytes:
    # The order of the entries is that of the members with the same due time.
    return msgspec.json.encode([entry, uuid])


def _handed(member: bytes) -> Handed:
    return Handed(*msgspec.json.decode(member, type=tuple[str, str]))
