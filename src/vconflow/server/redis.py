"""The Redis of this process: that of REDIS_URL, or a private Valkey that it runs itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from vconflow.adapters.embedded import embedded_valkey
from vconflow.redis_url import shown
from vconflow.settings import Settings

__all__ = ["OpenRedis", "open_redis"]


@dataclass(frozen=True)
class OpenRedis:
    """Where it is. `failed` returns when nobody looks after it any more; `trouble` says what is
    known to hinder it.
    """

    url: str
    description: str
    failed: Callable[[], Awaitable[object]]
    trouble: Callable[[], str]


@asynccontextmanager
async def open_redis(settings: Settings, data_dir: Path) -> AsyncIterator[OpenRedis]:
    """Use the Redis of REDIS_URL; without it, run one in the data folder until the end."""
    if settings.redis_url is not None:
        url = settings.redis_url.reveal()
        yield OpenRedis(url, f"Redis at {shown(url)}", asyncio.Event().wait, str)
        return
    async with embedded_valkey(data_dir) as valkey:
        described = f"embedded Valkey in {data_dir}"
        yield OpenRedis(valkey.url, described, valkey.failed, lambda: valkey.trouble)
