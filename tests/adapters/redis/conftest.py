from collections.abc import AsyncIterator

import pytest

from vconflow.adapters.redis.backend import RedisBackend, RedisOptions, open_backend


@pytest.fixture
async def backend(redis_url: str) -> AsyncIterator[RedisBackend]:
    """A replica named `one`, whose lease is short enough to wait for."""
    async with open_backend(
        redis_url, RedisOptions(replica="one", lease=0.3, egress_lease=0.3)
    ) as b:
        yield b


@pytest.fixture
async def other(redis_url: str) -> AsyncIterator[RedisBackend]:
    """A second replica on the same Redis."""
    async with open_backend(redis_url, RedisOptions(replica="two", lease=0.3)) as b:
        yield b
