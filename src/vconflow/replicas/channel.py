"""What a supervisor and a replica say to each other, over a socket pair that nobody else has."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal

import msgspec

from vconflow.errors import Unavailable

__all__ = ["Channel", "open_channel"]

_LENGTH_BYTES = 4

Metrics = Callable[[], Awaitable[bytes]]


class _Message(msgspec.Struct, array_like=True, frozen=True):
    kind: Literal["ready", "leave", "ask", "answer"]
    number: int = 0
    body: bytes = b""


class Channel:
    """One end. `ready` is set when the replica serves; `leave` when it is to stop.

    `leave` is set too when the other end is gone.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, metrics: Metrics
    ) -> None:
        self.ready = asyncio.Event()
        self.leave = asyncio.Event()
        self._reader = reader
        self._writer = writer
        self._metrics = metrics
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._answering: set[asyncio.Task[None]] = set()

    def say_ready(self) -> None:
        """Tell the supervisor that this replica serves."""
        self._say(_Message("ready"))

    def say_leave(self) -> None:
        """Tell the replica to leave new connections to others and to stop."""
        self._say(_Message("leave"))

    async def ask_metrics(self, seconds: float) -> bytes:
        """The metrics of the other side. Raises Unavailable when they do not come in time."""
        number = next(self._numbers)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self._say(_Message("ask", number))
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            raise Unavailable(f"no metrics within {seconds:g} s") from None
        finally:
            del self._asked[number]

    async def listen(self) -> None:
        """Hear what is said until the other end is gone."""
        try:
            while True:
                head = await self._reader.readexactly(_LENGTH_BYTES)
                body = await self._reader.readexactly(int.from_bytes(head))
                self._heard(msgspec.msgpack.decode(body, type=_Message))
        except (asyncio.IncompleteReadError, ConnectionError):
            self.leave.set()
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(Unavailable("the other end is gone"))

    async def close(self) -> None:
        """End it; nothing more is said."""
        for task in self._answering:
            task.cancel()
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    def _heard(self, message: _Message) -> None:
        match message.kind:
            case "ready":
                self.ready.set()
            case "leave":
                self.leave.set()
            case "ask":
                task = asyncio.create_task(self._answer(message.number))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
            case "answer":
                answer = self._asked.get(message.number)
                if answer is not None and not answer.done():
                    answer.set_result(message.body)

    async def _answer(self, number: int) -> None:
        self._say(_Message("answer", number, await self._metrics()))

    def _say(self, message: _Message) -> None:
        data = msgspec.msgpack.encode(message)
        if not self._writer.is_closing():
            self._writer.write(len(data).to_bytes(_LENGTH_BYTES) + data)


@asynccontextmanager
async def open_channel(end: socket.socket, metrics: Metrics) -> AsyncIterator[Channel]:
    """Talk over one end of a socket pair; when the other side asks, it is told `metrics`."""
    end.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=end)
    channel = Channel(reader, writer, metrics)
    listening = asyncio.create_task(channel.listen(), name="channel")
    try:
        yield channel
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await channel.close()
