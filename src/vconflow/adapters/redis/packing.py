"""Packing commands for the wire in C: the driver does it argument by argument in Python."""

from functools import cache
from typing import Any, cast

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection

__all__ = ["pack_in_c"]


def pack_in_c(client: Redis) -> None:
    """Have all connections of a client, none of which is made yet, pack in C."""
    pool = client.connection_pool
    # That classes are hashable is hidden by a Protocol among the bases.
    pool.connection_class = _packing(pool.connection_class)  # type: ignore[arg-type]


class _Packing:
    """Before a class of connections; replies are read in C by the driver itself."""

    def pack_command(self, *args: Any) -> list[bytes]:
        # The driver takes "CONFIG GET" for two words.
        if " " in args[0]:
            return cast("list[bytes]", super().pack_command(*args))  # type: ignore[misc]
        return [hiredis.pack_command(args)]


@cache
def _packing(connection_class: type[AbstractConnection]) -> type[AbstractConnection]:
    return type(f"Packing{connection_class.__name__}", (_Packing, connection_class), {})
