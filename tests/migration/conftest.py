"""A Redis with RedisJSON, and a conserver that fills it."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from conserver_data import Conserver, rejson
from redis import Redis

from vconflow.testing import servers

for folder in ("cli", "e2e"):
    sys.path.append(str(Path(__file__).parents[1] / folder))


@pytest.fixture
async def redis_json(tmp_path: Path) -> AsyncIterator[servers.RedisServer]:
    """A Valkey of its own with the module RedisJSON, on a socket and on a port."""
    folder = tmp_path / "redis"
    folder.mkdir()
    settings = {"loadmodule": str(rejson()), "appendonly": "no", "port": servers.free_port()}
    async with servers.valkey(folder, **settings) as server:
        yield server


@pytest.fixture
def client(redis_json: servers.RedisServer) -> "Iterator[Redis[str]]":
    with Redis.from_url(redis_json.url, decode_responses=True) as client:
        yield client


@pytest.fixture(params=["RedisJSON", "plain"])
def conserver(request: pytest.FixtureRequest, client: "Redis[str]") -> Conserver:
    """One that keeps documents with RedisJSON, and a later one that keeps them as text."""
    return Conserver(client, as_json=request.param == "RedisJSON")
