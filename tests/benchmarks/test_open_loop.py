"""The generator that sends at set times counts latencies from these times."""

import asyncio
import time
from pathlib import Path

import msgspec
from benchmark_runs import python
from benchmarks.harness.documents import MARKER
from benchmarks.harness.requests import Load, is_complete

RATE, SECONDS, STALL = 200, 1.0, 0.7


class StallingServer:
    """Answers at once, but not during the first part of the load."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self._until = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = b""
        while data := await reader.read(1 << 16):
            received += data
            if is_complete(received):
                self.bodies.append(received)
                received = b""
                self._until = self._until or time.monotonic() + STALL
                await asyncio.sleep(self._until - time.monotonic())
                writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()


async def load_from(server: StallingServer, file: Path) -> Load:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        what = (url, "2", str(SECONDS), str(RATE), "POST", str(file), "11111111-1111-8111-8111-")
        module = "benchmarks.harness.open_loop"
        return msgspec.json.decode(await asyncio.to_thread(python, "-m", module, *what), type=Load)


async def test_what_could_not_be_sent_in_time_has_waited_too(tmp_path: Path) -> None:
    file, server = tmp_path / "requests.txt", StallingServer()
    file.write_text(f'/vcon {{"uuid": "{MARKER}"}}\n')
    load = await load_from(server, file)
    assert (load.requests, load.refused, load.broken) == (RATE * SECONDS, 0, 0)
    # Only two requests were under way during the stall, but most should have been sent in it.
    assert load.p50_ms > 100
    assert len(set(server.bodies)) == load.requests
