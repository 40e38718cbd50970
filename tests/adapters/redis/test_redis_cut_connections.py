"""Connections that another task closes while they are in use, as when a master is replaced."""

import asyncio

import pytest
from redis import exceptions as driver

from vconflow.adapters.redis.client import open_redis


@pytest.mark.parametrize("is_fresh", [True, False])
async def test_a_command_whose_connection_is_cut_is_repeated(
    valkey_url: str, is_fresh: bool
) -> None:
    """At each step of the loop that a command takes, from connecting to the answer."""
    async with open_redis(valkey_url) as connections:
        client = connections.commands
        pool = client.connection_pool
        for steps in range(60):
            if is_fresh:
                await pool.disconnect()
            command = asyncio.create_task(client.execute_command("PING"))
            for _ in range(steps):
                await asyncio.sleep(0)
            await pool.disconnect()
            assert await command == b"PONG"


async def test_what_was_closed_before_a_command_is_a_closed_connection(valkey_url: str) -> None:
    """Said in the words of the driver, which it repeats: by us, or by the other side."""
    async with open_redis(valkey_url) as connections:
        pool = connections.commands.connection_pool
        connection = await pool.get_connection()
        try:
            sending = asyncio.create_task(connection._send_packed_command([b"x"]))
            await connection.disconnect(nowait=True)
            with pytest.raises(driver.ConnectionError, match="was closed"):
                await sending
            await connection.connect()
            connection._writer.close()
            with pytest.raises(driver.ConnectionError, match="was closed"):
                await connection._send_packed_command([b"x"])
        finally:
            await connection.disconnect()
            await pool.release(connection)
