"""The limit of a chain: a consumer that does nothing but read, tag and write."""

import os
import time
from typing import Any

from redis.asyncio import Redis

from benchmarks.harness.cpu import CpuMeter
from benchmarks.harness.documents import fresh, tagged
from benchmarks.harness.figures import Sample

__all__ = ["BARE_LOOP", "bare_loop"]

BARE_LOOP = "bare loop: XREADGROUP 128, MGET, decode, add tag, encode, one script per batch"

_STREAM = b"bare:list"
_GROUP = b"bare"
_BATCH = 128

_SCRIPT = """
local ids = {}
for i = 2, #KEYS do
  redis.call('SET', KEYS[i], ARGV[#KEYS + i - 2])
  ids[i - 1] = ARGV[i - 1]
end
redis.call('XACK', KEYS[1], 'bare', unpack(ids))
redis.call('XDEL', KEYS[1], unpack(ids))
"""


async def bare_loop(redis: Redis, valkey: int, number: int) -> Sample:
    """Fill a list of its own in the Valkey of that pid; how fast the loop empties it."""
    keys = await _fill(redis, number)
    await redis.execute_command("XGROUP", "CREATE", _STREAM, _GROUP, "0")
    script = await redis.execute_command("SCRIPT", "LOAD", _SCRIPT)
    meter, started = CpuMeter({"loop": os.getpid(), "Valkey": valkey}), time.perf_counter()
    done = await _loop(redis, script)
    sample = Sample(done / (time.perf_counter() - started), cpu=meter.each(done))
    if done != number:
        raise RuntimeError(f"the bare loop did {done} of {number}")
    for start in range(0, number, _BATCH):
        await redis.execute_command("UNLINK", _STREAM, *keys[start : start + _BATCH])
    return sample


async def _fill(redis: Redis, number: int) -> list[bytes]:
    keys: list[bytes] = []
    documents = fresh(number)
    while len(keys) < number:
        pipeline = redis.pipeline(transaction=False)
        for uuid, document in [item for _, item in zip(range(_BATCH), documents, strict=False)]:
            keys.append(b"bare:" + uuid.encode())
            pipeline.execute_command("SET", keys[-1], document)
            pipeline.execute_command("XADD", _STREAM, "*", "uuid", uuid)
        await pipeline.execute()
    return keys


async def _loop(redis: Redis, script: bytes) -> int:
    read = ("XREADGROUP", "GROUP", _GROUP, "bare", "COUNT", _BATCH, "STREAMS", _STREAM, ">")
    done = 0
    while reply := await redis.execute_command(*read):
        items: list[Any] = reply[0][1]
        keys = [b"bare:" + fields[1] for _, fields in items]
        documents = await redis.execute_command("MGET", *keys)
        ids = [item[0] for item in items]
        written = map(tagged, documents)
        call = ("EVALSHA", script, len(keys) + 1, _STREAM, *keys, *ids, *written)
        await redis.execute_command(*call)
        done += len(keys)
    return done
