"""Fixtures for all tests: real servers, clean databases, and a watch over the event loop."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

import asyncpg
import pytest
import redis
from blockbuster import BlockBuster
from hypothesis import settings

from vconflow.ports.objects import BucketAccess
from vconflow.telemetry import log
from vconflow.testing import servers

# The machine is shared: how long an example takes says nothing.
settings.register_profile("vconflow", deadline=None)
settings.load_profile("vconflow")

ServerT = TypeVar("ServerT", bound=servers.Server | servers.RedisCluster)


@pytest.fixture(scope="session", autouse=True)
def _nothing_blocks() -> Iterator[None]:
    """Fail any test in which vconflow blocks the event loop; what tests do themselves may."""
    watch = BlockBuster("vconflow", excluded_modules=["vconflow.testing"])
    # A traceback shows source lines. It is written when something broke, never on a busy path.
    for name in ("os.stat", "io.BufferedReader.read", "io.TextIOWrapper.read"):
        if name in watch.functions:
            watch.functions[name].can_block_in("linecache.py", {"checkcache", "updatecache"})
            # On a loop of its own, in a thread.
            watch.functions[name].can_block_in("objects/client.py", {"_keys_of_aws"})
    # The driver of MongoDB looks whether this is a container, once per server.
    watch.functions["os.stat"].can_block_in("pymongo/pool_options.py", {"get_container_env_info"})
    # Threads that run new lines wait for each other, when coverage is measured.
    watch.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", {"lock_data"})
    log.configure("INFO", pretty=False)
    watch.activate()
    yield
    watch.deactivate()


@contextmanager
def running(server: AbstractAsyncContextManager[ServerT]) -> Iterator[ServerT]:
    """Keep a server up over many event loops. In this thread, with which it would die."""
    with asyncio.Runner() as runner:

        async def enter() -> ServerT:
            return await server.__aenter__()

        async def leave() -> None:
            await server.__aexit__(None, None, None)

        started = runner.run(enter())
        try:
            yield started
        finally:
            runner.run(leave())


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.RedisServer]:
    """The Valkey we embed. Shared: do not stop it; for that, start one with `servers.valkey`."""
    with running(servers.valkey(tmp_path_factory.mktemp("valkey"))) as server:
        yield server


@pytest.fixture(scope="session")
def redis70_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.RedisServer]:
    """The redis-server of the machine, the oldest that we support. Shared: do not stop it."""
    with running(servers.redis_server(tmp_path_factory.mktemp("redis"))) as server:
        yield server


@pytest.fixture(scope="session")
def cluster_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.RedisCluster]:
    """A cluster of three masters. Shared: do not stop any of it."""
    with running(servers.redis_cluster(tmp_path_factory.mktemp("cluster"))) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[servers.PostgresServer]:
    """A PostgreSQL. Shared: do not stop it; for that, start one with `servers.postgres`."""
    with running(servers.postgres()) as server:
        yield server


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.S3Server]:
    """An S3. Shared: do not stop it; for that, start one with `servers.s3`."""
    with running(servers.s3(tmp_path_factory.mktemp("s3"))) as server:
        yield server


@pytest.fixture
async def s3_access(s3_server: servers.S3Server) -> BucketAccess:
    """A bucket of its own for each test."""
    return await s3_server.make_bucket(f"test-{uuid.uuid4().hex}")


@pytest.fixture(scope="module")
def milvus_server() -> Iterator[servers.MilvusServer]:
    """A Milvus, shared by the tests of a file: whoever stops it starts it again.

    It takes long to start, and is never idle: no others should have to run beside it.
    """
    with running(servers.milvus()) as server:
        yield server


@pytest.fixture(scope="session")
def mongo_server() -> Iterator[servers.MongoServer]:
    """A server of MongoDB's protocol. Shared: do not stop it."""
    with running(servers.mongo()) as server:
        yield server


@pytest.fixture(params=["valkey", "redis70"])
def redis_url(request: pytest.FixtureRequest) -> str:
    """An empty Redis; every test that takes it runs on Valkey and on Redis 7.0."""
    return _emptied(request.getfixturevalue(f"{request.param}_server"))


@pytest.fixture
def valkey_url(valkey_server: servers.RedisServer) -> str:
    """An empty Valkey, for tests that do not depend on the version of the server."""
    return _emptied(valkey_server)


@pytest.fixture
async def cluster_url(cluster_server: servers.RedisCluster) -> str:
    """An empty cluster."""
    await cluster_server.flush()
    return cluster_server.url


def _emptied(server: servers.RedisServer) -> str:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return server.url


@pytest.fixture
async def postgres_dsn(postgres_server: servers.PostgresServer) -> AsyncIterator[str]:
    """A database of its own for each test."""
    name = f"test_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres_server.url)
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        yield postgres_server.dsn(name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of sample conversations and of the IETF's examples."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("VCONFLOW_TEST_DATA", beside))
    assert folder.is_dir(), f"no test data: neither $VCONFLOW_TEST_DATA nor {beside} is a folder"
    return folder
