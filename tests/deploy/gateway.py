"""The gateway of compose.yml: a real nginx, and the name server that Docker would be."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from deploy_files import DEPLOY

from vconflow.testing.servers import Server, free_port

MAIN = """
daemon off;
pid nginx.pid;
error_log stderr;
{user}
events {{ }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include vconflow.conf;
}}
"""
HEADER = struct.Struct("!HHHHHH")
ANSWER = 0x8180
"""The flags of an answer without an error."""


class NameServer(asyncio.DatagramProtocol):
    """Answers every question for an IPv4 address with these."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        number, *_ = HEADER.unpack_from(data)
        question = data[HEADER.size : data.index(b"\0", HEADER.size) + 5]
        records = [
            # The name by its place in the message, type A, class IN, for a second.
            struct.pack("!HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(address)
            for address in self._addresses
        ]
        head = HEADER.pack(number, ANSWER, 1, len(records), 0, 0)
        self._transport.sendto(head + question + b"".join(records), addr)


class Gateway(Server):
    """nginx with the shipped file; `vconflow` is the name of the replicas, all on one port."""

    def __init__(self, path: Path, replicas_port: int, names_port: int) -> None:
        super().__init__(path)
        self.url = f"http://127.0.0.1:{free_port()}"
        self._replicas_port = replicas_port
        self._names_port = names_port

    async def prepare(self) -> None:
        user = "user root;" if os.geteuid() == 0 else ""
        (self.path / "nginx.conf").write_text(MAIN.format(user=user))
        text = (DEPLOY / "nginx" / "vconflow.conf").read_text()
        for there, here in {
            "listen 8080;": f"listen {self.url.removeprefix('http://')};",
            "resolver 127.0.0.11 ": f"resolver 127.0.0.1:{self._names_port} ",
            "vconflow:8000": f"vconflow:{self._replicas_port}",
        }.items():
            assert there in text
            text = text.replace(there, here)
        (self.path / "vconflow.conf").write_text(text)

    def command(self) -> list[str]:
        return ["nginx", "-p", str(self.path), "-c", "nginx.conf"]

    async def answers(self) -> bool:
        async with httpx.AsyncClient(base_url=self.url) as client:
            try:
                return (await client.get("/metrics")).status_code == 404
            except httpx.TransportError:
                return False


@asynccontextmanager
async def gateway(path: Path, addresses: Sequence[str], port: int) -> AsyncIterator[Gateway]:
    """A gateway before the replicas at these addresses, running while the context is."""
    path.mkdir()
    names, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NameServer(addresses), local_addr=("127.0.0.1", 0)
    )
    server = Gateway(path, port, names.get_extra_info("sockname")[1])
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
        names.close()
