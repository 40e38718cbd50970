"""The limit of one vCon's way through an idle service: the Redis commands of it, and nothing else.

They are those that accepting, reading and finishing a vCon of one chain with one link write and
read, without the scripts' checks: see them with `MONITOR`.
"""

import socket
import time
from collections.abc import Sequence
from itertools import chain
from statistics import median
from typing import Any

import hiredis
import msgspec
from redis.asyncio import Redis

from benchmarks.harness.documents import fresh, tagged
from benchmarks.harness.figures import Sample

__all__ = ["BareCommands"]

_DAY_MS = 86_400_000
_CHUNK = 1 << 16
_LEAST = 3
Command = tuple[Any, ...]
"""A Redis command: texts, bytes and numbers."""


class BareCommands:
    """One connection, which waits for every answer. Blocking.

    `grouped` sends what belongs together in one MULTI: accepting, reading, fetching, finishing.
    """

    def __init__(self, redis: Redis, *, grouped: bool) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(redis.connection_pool.connection_kwargs["path"])
        self._reader = hiredis.Reader()
        self._grouped = grouped
        # It may be there from the other instance.
        self._send([("XGROUP", "CREATE", "idle:in", "idle", "0", "MKSTREAM")])

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    async def window(self, seconds: float) -> Sample:
        """The median of the milliseconds that each vCon took, one after the other for so long."""
        started = time.perf_counter()
        taken: list[float] = []
        while len(taken) < _LEAST or time.perf_counter() - started < seconds:
            ((uuid, document),) = fresh(1)
            taken.append(1000 * self._pass(uuid, document))
        return Sample(median(taken))

    def _pass(self, uuid: str, document: bytes) -> float:
        accept, changed = list(_accept(uuid, document)), tagged(document)
        started = time.perf_counter()
        self._step(accept)
        reply = self._send([("XREADGROUP", "GROUP", "idle", "one", "STREAMS", "idle:in", ">")])
        entry = reply[0][0][1][0][0]
        self._send([("GET", f"idle:vcon:{uuid}")])
        self._step(list(_finish(uuid, changed, entry)))
        return time.perf_counter() - started

    def _step(self, commands: Sequence[Command]) -> None:
        if self._grouped:
            replies = self._send([("MULTI",), *commands, ("EXEC",)])
            results = replies[-1]
        else:
            results = list(chain.from_iterable(self._send([command]) for command in commands))
        if failed := [result for result in results if isinstance(result, Exception)]:
            raise failed[0]

    def _send(self, commands: Sequence[Command]) -> list[Any]:
        self._socket.sendall(b"".join(map(hiredis.pack_command, commands)))
        replies: list[Any] = []
        while len(replies) < len(commands):
            self._reader.feed(self._socket.recv(_CHUNK))
            while (reply := self._reader.gets()) is not False:
                replies.append(reply)
        return replies


def _accept(uuid: str, document: bytes) -> list[Command]:
    vcon = msgspec.json.decode(document)
    parties = [
        party[kind]
        for party in vcon["parties"]
        for kind in ("tel", "mailto", "name")
        if party.get(kind)
    ]
    now = time.time_ns() // 1_000_000
    return [
        ("SET", f"idle:vcon:{uuid}", document),
        ("HSET", f"idle:meta:{uuid}", "rev", now, "idx", str(parties), "open", 1),
        ("ZADD", "idle:vcons", now, uuid),
        *(("ZADD", f"idle:index:{party}", now, uuid) for party in parties),
        *(("PEXPIRE", f"idle:index:{party}", _DAY_MS) for party in parties),
        ("XADD", "idle:in", "*", "uuid", uuid, "at", now, "origin", "http"),
        ("RPUSH", f"idle:history:{uuid}", f"{now} accepted"),
        ("PEXPIRE", f"idle:history:{uuid}", _DAY_MS),
    ]


def _finish(uuid: str, document: bytes, entry: bytes) -> list[Command]:
    return [
        ("SET", f"idle:vcon:{uuid}", document),
        ("HSET", f"idle:meta:{uuid}", "rev", 2, "open", 0),
        ("XADD", "idle:out", "*", "uuid", uuid, "origin", "chain:main"),
        ("XACK", "idle:in", "idle", entry),
        ("XDEL", "idle:in", entry),
        ("RPUSH", f"idle:history:{uuid}", "completed"),
    ]
