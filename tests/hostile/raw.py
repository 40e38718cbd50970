"""HTTP as no client library would send it."""

import re
import socket
from collections.abc import Sequence

from stage import TOKEN

__all__ = ["exchange", "request", "statuses"]

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
SECONDS = 20.0


def request(
    method: bytes = b"GET",
    target: bytes = b"/health",
    headers: Sequence[bytes] = (),
    body: bytes = b"",
    version: bytes = b"HTTP/1.1",
    length: bool = True,
) -> bytes:
    """A request with the right key; it asks the server to close the connection."""
    lines = [b"%b %b %b" % (method, target, version), b"host: vconflow"]
    lines += [b"x-conserver-api-token: " + TOKEN.encode(), b"connection: close", *headers]
    if body and length:
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def exchange(address: tuple[str, int], sent: bytes, *, finish: bool = True) -> bytes:
    """Send the bytes and return all that comes until the server closes.

    With `finish` the sending side is closed first. Raises TimeoutError when the server keeps the
    connection open and silent for too long.
    """
    received = b""
    with socket.create_connection(address, timeout=SECONDS) as connection:
        try:
            connection.sendall(sent)
            if finish:
                connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                received += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass  # it closed while we were sending: as good an answer as any
    return received


def statuses(received: bytes) -> list[int]:
    """The statuses of all responses in what was received."""
    return [int(found) for found in _STATUS.findall(received)]
