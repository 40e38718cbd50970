"""How the connections write commands: packed in C, and told when somebody has closed them."""

from collections.abc import Iterable
from functools import cache
from typing import Any, cast

import hiredis
from redis import exceptions as driver
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection

__all__ = ["write_our_way"]


def write_our_way(client: Redis) -> None:
    """Have all connections of a client, none of which is made yet, write as is said here."""
    pool = client.connection_pool
    # That classes are hashable is hidden by a Protocol among the bases.
    pool.connection_class = _writing(pool.connection_class)  # type: ignore[arg-type]


class _Writing:
    """Before a class of connections; replies are read in C by the driver itself."""

    def pack_command(self, *args: Any) -> list[bytes]:
        # The driver packs argument by argument in Python, and takes "CONFIG GET" for two words.
        if " " in args[0]:
            return cast("list[bytes]", super().pack_command(*args))  # type: ignore[misc]
        return [hiredis.pack_command(args)]

    async def _send_packed_command(self, command: Iterable[bytes]) -> None:
        # The driver, 8.1.0, may come here in a task of its own. If somebody closes the connection
        # before that begins, as we do when a master is replaced, or the server has closed it, it
        # raises an AttributeError or, on some versions of Python, a TypeError, which nobody
        # repeats. Mended in its next version (redis-py's pull request 4288).
        writer = self._writer  # type: ignore[attr-defined]
        if writer is None or writer.is_closing():
            raise driver.ConnectionError("the connection was closed")
        writer.writelines(command)
        await writer.drain()


@cache
def _writing(connection_class: type[AbstractConnection]) -> type[AbstractConnection]:
    return type(f"Writing{connection_class.__name__}", (_Writing, connection_class), {})
