"""A loopback HTTP server that says exactly the bytes it is told to, however wrong they are."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

__all__ = ["RawHttpServer", "body_of", "raw_http_server"]

OK = b"HTTP/1.1 200 OK\r\nContent-Type: Audio/WAV; rate=8000\r\nContent-Length: 5\r\n\r\nhello"


@dataclass
class RawHttpServer:
    """Answers each path with the bytes given for it, or piece by piece; counts connections.

    `/hangs` is answered and then left open until the client goes away.
    """

    port: int = 0
    answers: dict[str, bytes | Iterable[bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    connections: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """The address of a path."""
        return f"http://{host}:{self.port}{path}"

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection."""
        self.connections += 1
        self.tasks.add(asyncio.ensure_future(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Clients that go away, even before they have asked, are part of the tests.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._answer(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        path = request.split(b" ")[1].decode()
        self.asked.append(path)
        answer = self.answers.get(path, OK)
        for piece in [answer] if isinstance(answer, bytes) else answer:
            writer.write(piece)
            await writer.drain()
        if path == "/hangs":
            await reader.read()


def body_of(content: bytes, media_type: str = "", *, announced: int | None = None) -> bytes:
    """An answer with a body; `announced` is the length it claims, if that is another."""
    kind = f"Content-Type: {media_type}\r\n" if media_type else ""
    length = len(content) if announced is None else announced
    return f"HTTP/1.1 200 OK\r\n{kind}Content-Length: {length}\r\n\r\n".encode() + content


@asynccontextmanager
async def raw_http_server() -> AsyncIterator[RawHttpServer]:
    """Run one on a free port, in this event loop."""
    server = RawHttpServer()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await asyncio.gather(*server.tasks)
