"""The process that runs one jq filter over one document after the other.

Arguments: the filter, and the seconds of processor time and bytes of memory that it may take. Each
document comes on stdin as its length (4 bytes, big-endian) and its bytes; one byte goes back.
"""

import os
import resource
import signal
import sys
from typing import Any, BinaryIO

import jq

__all__ = ["FAILED", "MATCH", "NO_MATCH", "main"]

NO_MATCH = b"0"
MATCH = b"1"
FAILED = b"!"


def main(text: str, seconds: float, memory: int) -> None:
    """Serve until stdin ends."""
    # `env` and `$ENV` show the environment to whoever writes the filter.
    os.environ.clear()
    program = jq.compile(text)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    # A core file would be one of conversations.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        while (document := _next(sys.stdin.buffer)) is not None:
            # The kernel ends a filter that takes too long, even when its parent is gone.
            signal.setitimer(signal.ITIMER_PROF, seconds)
            verdict = _verdict(program, document)
            signal.setitimer(signal.ITIMER_PROF, 0)
            sys.stdout.buffer.write(verdict)
            sys.stdout.buffer.flush()
    except MemoryError:
        os.abort()  # as jq itself does then


def _next(stream: BinaryIO) -> bytes | None:
    length = stream.read(4)
    return stream.read(int.from_bytes(length, "big")) if len(length) == 4 else None


def _verdict(program: Any, document: bytes) -> bytes:
    try:
        # Only the first result counts: there may be endlessly many.
        first = next(iter(program.input_text(document.decode())), None)
    # What the filter raises, what is no JSON to jq and what is no UTF-8: all come as ValueError.
    except ValueError:
        return FAILED
    return MATCH if first else NO_MATCH


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
