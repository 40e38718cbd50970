"""Sentinel swaps the servers: vconflow follows the master by itself, without a restart."""

import asyncio
import contextlib
from collections import Counter
from pathlib import Path

import pytest
from pipeline_support import site, step, until, vcon
from redis.asyncio import Redis
from redis.exceptions import RedisError
from trouble_support import Gate, submit_until_accepted

from vconflow.adapters.redis.backend import RedisOptions, open_backend
from vconflow.errors import ConfigError
from vconflow.pipeline.chain import Chain
from vconflow.testing.sentinel import SERVICE, sentinel_site
from vconflow.testing.servers import RedisServer, free_port

PASSWORD = "p@ss:/?word"


async def test_an_old_master_that_does_not_know_it_yet_is_left_at_once(tmp_path: Path) -> None:
    gate = Gate()
    chain = Chain("main", (step("gate", gate),), lists=("in",), egress=("out",))
    async with (
        sentinel_site(tmp_path, password=PASSWORD) as redis,
        site(redis.url, chain, lease=1) as it,
    ):
        uuids = await it.submit(*(vcon() for _ in range(20)))
        await until(lambda: gate.held == 20)
        await keeps_its_role(await redis.master())
        await redis.fail_over()
        # What the old master takes until it is left is lost.
        for connection in (it.backend.connections.commands, it.backend.connections.reader):
            await moved_to(connection, await redis.master())
        gate.open.set()
        uuids += await asyncio.gather(*(submit_until_accepted(it, vcon()) for _ in range(5)))
        await it.settled()
        assert Counter(await it.popped()) == Counter(uuids)
        assert await it.dead() == []


async def keeps_its_role(node: RedisServer) -> None:
    """Let nobody make a replica of a server, as if it were cut off from Sentinel."""
    async with Redis.from_url(node.url, password=PASSWORD) as operator:
        await operator.execute_command("ACL", "SETUSER", "default", "-replicaof", "-slaveof")


async def test_the_first_sentinel_may_be_away(tmp_path: Path) -> None:
    async with sentinel_site(tmp_path) as redis:
        url = redis.url.replace("127.0.0.1", f"127.0.0.1:{free_port()},127.0.0.1", 1)
        async with open_backend(url, RedisOptions()) as backend:
            assert await backend.ping() >= 0


async def moved_to(client: Redis, master: RedisServer) -> None:
    """Wait until a client of vconflow talks to this server."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(RedisError, OSError):
                if await client.execute_command("CONFIG", "GET", "port") == [
                    b"port",
                    str(master.port).encode(),
                ]:
                    return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((SERVICE, "nobody"), "cannot reach the server: No master found for 'nobody'"),
        (("%40ss", "wrong"), "refuses the credentials: invalid username-password pair"),
    ],
)
async def test_what_cannot_work_is_told_at_the_start_without_secrets(
    tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    async with sentinel_site(tmp_path, password=PASSWORD) as redis:
        with pytest.raises(ConfigError) as caught:
            async with open_backend(redis.url.replace(*change), RedisOptions()):
                pass
    text = str(caught.value)
    assert words in text
    assert "word" not in text.replace("username-password", "")
