"""A TCP proxy that misbehaves on command: it cuts, refuses, delays and stalls connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

__all__ = ["Direction", "Tap", "TcpProxy", "tcp_proxy"]

CHUNK = 64 * 1024


class Direction(Enum):
    """Which half of the traffic."""

    REQUESTS = "requests"
    """From the client to the server."""
    REPLIES = "replies"
    """From the server to the client."""


class Tap(Protocol):
    """Understands what one connection carries, and may cut it in the middle of a message."""

    def take(self, direction: Direction, chunk: bytes) -> tuple[bytes, bool]:
        """What to pass on now that `chunk` has come, and whether to cut the connection then.

        Bytes may be held back until the next chunk completes a message.
        """
        ...


@dataclass
class _Half:
    """What happens to one direction of all connections."""

    delay: float = 0.0
    cut_after: int | None = None
    """Bytes that may still pass before everything is cut."""
    open: asyncio.Event = field(default_factory=asyncio.Event)
    passed: int = 0


class TcpProxy:
    """Stands between a client and a server; made by `tcp_proxy`."""

    def __init__(self, upstream: str, tap: Callable[[], Tap] | None = None) -> None:
        self._upstream = upstream
        self._tap = tap
        self._halves = {direction: _Half() for direction in Direction}
        for half in self._halves.values():
            half.open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._refusing = False
        self.port = 0
        self.connections = 0
        """How many connections were ever accepted, refused ones not counted."""

    @property
    def open_connections(self) -> int:
        """How many connections are up now."""
        return len(self._writers) // 2

    def passed(self, direction: Direction) -> int:
        """How many bytes went through in a direction."""
        return self._halves[direction].passed

    def cut(self) -> None:
        """Reset every connection now; new ones are accepted."""
        for writer in self._writers:
            writer.transport.abort()

    def refuse(self) -> None:
        """Reset every connection, and each new one as soon as it is made, until `restore`."""
        self._refusing = True
        self.cut()

    def cut_after(self, byte_count: int, direction: Direction) -> None:
        """Let that many more bytes pass in a direction, then reset every connection, once."""
        self._halves[direction].cut_after = byte_count

    def delay(self, seconds: float, direction: Direction) -> None:
        """Hold every chunk of a direction back for so long."""
        self._halves[direction].delay = seconds

    def stall(self, direction: Direction) -> None:
        """Pass nothing in a direction until `restore`; connections stay open."""
        self._halves[direction].open.clear()

    def restore(self) -> None:
        """Behave again; what was stalled goes on."""
        self._refusing = False
        for half in self._halves.values():
            half.delay, half.cut_after = 0.0, None
            half.open.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side ends it."""
        if self._refusing:
            writer.transport.abort()
            return
        self.connections += 1
        try:
            up_reader, up_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, up_writer)
        self._writers.update(pair)
        tap = self._tap() if self._tap else None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, up_writer, Direction.REQUESTS, tap, pair))
                group.create_task(self._carry(up_reader, writer, Direction.REPLIES, tap, pair))
        finally:
            self._writers.difference_update(pair)
            for end in pair:
                end.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._upstream.startswith("/"):
            return await asyncio.open_unix_connection(self._upstream)
        host, _, port = self._upstream.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        direction: Direction,
        tap: Tap | None,
        pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    ) -> None:
        half = self._halves[direction]
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK):
                if half.delay:
                    await asyncio.sleep(half.delay)
                await half.open.wait()
                chunk, cut = tap.take(direction, chunk) if tap else (chunk, False)
                await self._pass_on(chunk, writer, half)
                if cut:
                    for end in pair:
                        end.transport.abort()
                    return
            writer.write_eof()

    async def _pass_on(self, chunk: bytes, writer: asyncio.StreamWriter, half: _Half) -> None:
        last = half.cut_after is not None and len(chunk) >= half.cut_after
        if half.cut_after is not None:
            chunk = chunk[: half.cut_after]
            half.cut_after = None if last else half.cut_after - len(chunk)
        half.passed += len(chunk)
        writer.write(chunk)
        await writer.drain()
        if last:
            self.cut()


@asynccontextmanager
async def tcp_proxy(upstream: str, tap: Callable[[], Tap] | None = None) -> AsyncIterator[TcpProxy]:
    """Listen on a loopback port (`.port`) for `upstream`: `host:port` or the path of a socket.

    Each connection gets a `tap` of its own.
    """
    proxy = TcpProxy(upstream, tap)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            # Only we cancel it, at the end; asyncio would report that as an error.
            with contextlib.suppress(asyncio.CancelledError):
                await proxy.serve(reader, writer)
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
