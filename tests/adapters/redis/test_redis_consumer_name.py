"""Whose name it is when the one that held it has died."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vconflow.adapters.redis.backend import RedisBackend
from vconflow.adapters.redis.consumer_name import hold_name
from vconflow.adapters.redis.keys import Keys

_LEASE = 60.0


@pytest.fixture
def unnoticed() -> Iterator[int]:
    """The pid of a process that has ended, and whose parent has not waited for it."""
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        while ") Z " not in Path(f"/proc/{dead.pid}/stat").read_text():
            pass
        yield dead.pid


async def test_one_that_died_gives_its_name_even_if_its_parent_takes_no_notice(
    backend: RedisBackend, unnoticed: int
) -> None:
    keys, client = Keys(), backend.connections.commands
    async with hold_name([(client, keys)], "its", lease=_LEASE) as held:
        place, _, number = held.token.rsplit("/", 2)
    left = f"{place}/{unnoticed}/{number}"
    await client.execute_command("SET", keys.consumer("its"), left, "PX", int(_LEASE * 1000))
    async with hold_name([(client, keys)], "its", lease=_LEASE) as held:
        assert held.name == "its"


async def test_one_that_lives_keeps_it(backend: RedisBackend) -> None:
    keys, client = Keys(), backend.connections.commands
    async with (
        hold_name([(client, keys)], "its", lease=_LEASE) as first,
        hold_name([(client, keys)], "its", lease=_LEASE) as second,
    ):
        assert (first.name, second.name) == ("its", "its-2")
