"""The consumer alone: how fast a full list goes through a chain of one tag, without a storage."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from redis.asyncio import Redis

from benchmarks.harness.documents import fresh, tagged
from benchmarks.harness.figures import Figure, Options, Sample, compare
from benchmarks.harness.passage import chain_config
from vconflow import config
from vconflow.adapters.embedded import embedded_valkey
from vconflow.adapters.redis.backend import RedisOptions, open_backend
from vconflow.app import open_app
from vconflow.model.validation import validate
from vconflow.ports.intake import Acceptance
from vconflow.settings import Settings

__all__ = ["run"]

LIMIT = "bare loop: XREADGROUP 128, MGET, decode, add tag, encode, one script per batch"
STREAM = "vconflow:list:in"
GROUP = "vconflow"
BATCH = 128
VCONS_PER_SECOND = 3000
"""How many vCons a window puts on the list; not how long they take."""

_SCRIPT = """
local ids = {}
for i = 2, #KEYS do
  redis.call('SET', KEYS[i], ARGV[#KEYS + i - 2])
  ids[i - 1] = ARGV[i - 1]
end
redis.call('XACK', KEYS[1], 'vconflow', unpack(ids))
redis.call('XDEL', KEYS[1], unpack(ids))
"""


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure the flow, in this process."""
    with tempfile.TemporaryDirectory(prefix="vcf-bench-") as folder:
        async with embedded_valkey(Path(folder)) as valkey, _client(valkey.url) as client:
            loaded = await asyncio.to_thread(_load_config, Path(folder))
            settings = Settings.load({"VCONFLOW_DATA_DIR": folder, "VCONFLOW_GRACE_SECONDS": "0"})

            async def ours(seconds: float) -> Sample:
                number = await _fill(client, valkey.url, seconds)
                async with open_app(loaded, settings, redis_url=valkey.url):
                    return await _watch(client, number)

            async def limit(seconds: float) -> Sample:
                number = await _fill(client, valkey.url, seconds)
                return await _loop(client, number)

            yield await compare("chain", LIMIT, ours, limit, options)


def _load_config(folder: Path) -> config.Config:
    path = folder / "config.yml"
    content = chain_config("links.tag", {"tags": {"source": "benchmark"}})
    path.write_text(yaml.safe_dump(content))
    return config.load(path, {})


@asynccontextmanager
async def _client(url: str) -> AsyncIterator[Redis]:
    client: Redis = Redis.from_url(url, protocol=2)
    client.response_callbacks.clear()
    try:
        yield client
    finally:
        await client.aclose()


async def _fill(client: Redis, url: str, seconds: float) -> int:
    """Put vCons on the list of an otherwise empty Redis; how many."""
    await client.execute_command("FLUSHALL")
    documents = fresh(max(8 * BATCH, int(seconds * VCONS_PER_SECOND)))
    async with open_backend(url, RedisOptions(replica="fill")) as backend:
        for start in range(0, len(documents), BATCH):
            batch = [
                Acceptance(validate(document), document, ("in",), "http")
                for _, document in documents[start : start + BATCH]
            ]
            for result in await backend.intake.accept(batch):
                if isinstance(result, Exception):
                    raise result
    return len(documents)


async def _watch(client: Redis, number: int) -> Sample:
    """The rate between the first entry that is gone and the last."""
    started, first = 0.0, 0
    while left := await _left(client):
        if not started and left < number:
            started, first = time.perf_counter(), left
        await asyncio.sleep(0.005)
    if not started:
        raise RuntimeError("the list was empty before it could be watched")
    return Sample(first / (time.perf_counter() - started))


async def _left(client: Redis) -> int:
    return int(await client.execute_command("XLEN", STREAM))


async def _loop(client: Redis, number: int) -> Sample:
    await client.execute_command("XGROUP", "CREATE", STREAM, GROUP, "0")
    read = ("XREADGROUP", "GROUP", GROUP, "bare", "COUNT", BATCH, "STREAMS", STREAM, ">")
    script = await client.execute_command("SCRIPT", "LOAD", _SCRIPT)
    started = time.perf_counter()
    while reply := await client.execute_command(*read):
        items: list[Any] = reply[0][1]
        keys = [b"vcon:" + fields[fields.index(b"uuid") + 1] for _, fields in items]
        documents = await client.execute_command("MGET", *keys)
        ids = [item[0] for item in items]
        written = map(tagged, documents)
        call = ("EVALSHA", script, len(keys) + 1, STREAM, *keys, *ids, *written)
        await client.execute_command(*call)
    elapsed = time.perf_counter() - started
    if left := await _left(client):
        raise RuntimeError(f"{left} of {number} are left on the list")
    return Sample(number / elapsed)
