"""A stable name per replica, held so that two replicas never act under the same one."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from redis.asyncio import Redis

from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.keys import Keys
from vconflow.errors import Unavailable

__all__ = ["ConsumerName", "hold_name"]

# Change or delete the hold only while it is the one that was seen.
_REPLACE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""


@dataclass(frozen=True)
class ConsumerName:
    """A held name. `ttl_ms` is how long the hold lasts without renewal."""

    name: str
    token: str
    ttl_ms: int


@asynccontextmanager
async def hold_name(
    shards: Sequence[tuple[Redis, Keys]], wanted: str, *, lease: float
) -> AsyncIterator[ConsumerName]:
    """Hold `wanted`, or `wanted-2`, `wanted-3` … when a clone holds it already.

    The name is the same in all shards, and so is the token: each fences its own entries by it.

    A process that was killed leaves its hold for up to the lease (seconds). Its successor on the
    same machine can tell, and takes name and work over at once; elsewhere it works under a suffix
    until what the dead one owned is taken over.
    """
    here = await asyncio.to_thread(_place)
    token, ttl_ms = f"{here}/{os.getpid()}/{uuid4().hex}", int(lease * 1000)
    name, number = wanted, 1
    while not await _hold_everywhere(shards, name, token, ttl_ms):
        number += 1
        name = f"{wanted}-{number}"
    try:
        yield ConsumerName(name, token, ttl_ms)
    finally:
        await asyncio.shield(_release(shards, name, token))


async def _hold_everywhere(
    shards: Sequence[tuple[Redis, Keys]], name: str, token: str, ttl_ms: int
) -> bool:
    # One after the other: of two that begin at the same time only one gets past the first.
    for position, (client, keys) in enumerate(shards):
        if not await _hold(client, keys.consumer(name), token, ttl_ms):
            await _release(shards[:position], name, token)
            return False
    return True


async def _release(shards: Sequence[tuple[Redis, Keys]], name: str, token: str) -> None:
    for client, keys in shards:
        # Best effort: without it the hold simply ends with its lease.
        with contextlib.suppress(Unavailable):
            await _replace(client, keys.consumer(name), token, "", 1)


async def _hold(client: Redis, key: str, token: str, ttl_ms: int) -> bool:
    with redis_errors():
        if await client.execute_command("SET", key, token, "NX", "PX", ttl_ms):
            return True
        holder = await client.execute_command("GET", key)
    if holder == token.encode():
        return True  # the first answer was lost
    if holder is None or not await asyncio.to_thread(_is_dead, holder.decode(), token):
        return False
    return await _replace(client, key, holder.decode(), token, ttl_ms)


async def _replace(client: Redis, key: str, old: str, new: str, ttl_ms: int) -> bool:
    with redis_errors():
        return bool(await client.execute_command("EVAL", _REPLACE, 1, key, old, new, ttl_ms))


def _place() -> str:
    """Where process ids mean the same: a boot of a machine, and a pid namespace on it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return uuid4().hex  # nowhere else: nobody can tell whether we live


def _is_dead(holder: str, own: str) -> bool:
    """Whether the holder was a process beside us that has ended."""
    place, pid, _ = holder.rsplit("/", 2) if holder.count("/") >= 2 else ("", "", "")
    if place != own.rsplit("/", 2)[0]:
        return False
    # Held under our own pid, but not by us: we were given the pid of the one that died, or we
    # hold a second name in this process, as tests do.
    return pid.isdigit() and int(pid) != os.getpid() and not _exists(int(pid))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is there, only not ours
    return not _has_ended(pid)


def _has_ended(pid: int) -> bool:
    """Whether only its parent has not taken notice of its end yet, which may never happen."""
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False  # nobody can tell
    return state.rpartition(b")")[2].split()[0] == b"Z"
