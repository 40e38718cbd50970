"""Requests byte for byte, as clients put them on the wire."""

import json
import socket
from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import urlsplit

REQUESTS = (
    ("User-Agent", "python-requests/2.31.0"),
    ("Accept-Encoding", "gzip, deflate"),
    ("Accept", "*/*"),
    ("Connection", "keep-alive"),
)
"""What `requests` sends before the headers of the caller."""


class Reply(NamedTuple):
    """An answer; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """One connection. Nothing is added to what is sent and nothing retried."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host = parts.netloc
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=30)
        self._file = self._socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read(self) -> Reply:
        """The next answer, be it an interim one. Raises ConnectionError when there is none."""
        line = self._file.readline()
        if not line:
            raise ConnectionError("closed without an answer")
        status = int(line.split()[1])
        headers: dict[str, str] = {}
        while line := self._file.readline().rstrip(b"\r\n"):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        return Reply(status, headers, self._file.read(length))

    def is_closed(self) -> bool:
        """Whether the server ends the connection."""
        return self._file.read(1) == b""

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def head(
    method: str, target: str, host: str, *headers: tuple[str, str], version: str = "1.1"
) -> bytes:
    """The first line and the headers of a request."""
    lines = [f"{method} {target} HTTP/{version}", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def exchange(
    url: str, method: str, target: str, *headers: tuple[str, str], body: bytes | None = None
) -> Reply:
    """One request as `requests` sends it, on a connection of its own."""
    sized = (("Content-Length", str(len(body))),) if body is not None else ()
    with closing(Wire(url)) as wire:
        # requests writes head and body apart, so that they often come in two pieces.
        wire.send(head(method, target, wire.host, *REQUESTS, *headers, *sized))
        if body:
            wire.send(body)
        return wire.read()


def json_kwarg(document: object) -> bytes:
    """The body that `requests.post(json=…)` makes."""
    return json.dumps(document, allow_nan=False).encode()
