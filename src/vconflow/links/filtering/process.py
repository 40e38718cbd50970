"""The event loop's side of `worker`."""

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from vconflow.errors import Permanent, Retryable

__all__ = ["Filter", "open_filter"]

_WORKER: Final = "vconflow.links.filtering.worker"
_VERDICTS: Final[dict[bytes, bool | None]] = {b"0": False, b"1": True, b"!": None}


class Filter:
    """One jq filter in a process of its own, which is started again whenever it has ended.

    The binding holds the interpreter's lock while jq runs: in a thread, one slow filter would stop
    the event loop.
    """

    def __init__(self, text: str, seconds: float, memory: int) -> None:
        self._arguments = (text, str(seconds), str(memory))
        self._seconds = seconds
        self._memory = memory
        self._process: Process | None = None
        self._turn = asyncio.Lock()

    async def matches(self, document: bytes) -> bool | None:
        """Whether the first result for a document is true; None when the filter fails on it.

        Raises Permanent when the filter takes more processor time or memory than it may.
        """
        async with self._turn:
            process = self._process or await self.start()
            try:
                return _VERDICTS[await _exchange(process, document)]
            except (BrokenPipeError, ConnectionResetError, asyncio.IncompleteReadError):
                self._process = None
                raise self._failure(await process.wait()) from None
            except BaseException:
                # Given up in the middle: its answer would be taken for that to the next question.
                await self.stop()
                raise

    async def start(self) -> Process:
        """Start the process. Raises Retryable."""
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", _WORKER, *self._arguments),
                stdin=PIPE,
                stdout=PIPE,
                # jq's `debug` and `stderr` write conversations there.
                stderr=DEVNULL,
                # Ctrl-C is for us alone, to finish with what is under way.
                start_new_session=True,
            )
        except OSError as error:
            raise Retryable(f"jq cannot be started: {error.strerror}") from error
        return self._process

    async def stop(self) -> None:
        """End the process, if it runs."""
        if self._process is not None:
            process, self._process = self._process, None
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _failure(self, returned: int) -> Retryable | Permanent:
        if returned == -signal.SIGPROF:
            return Permanent(f"the filter takes more than {self._seconds:g} s of processor time")
        if returned == -signal.SIGABRT:
            return Permanent(f"the filter takes more than {self._memory >> 20} MiB of memory")
        if returned == -signal.SIGSEGV:
            return Permanent("the filter crashes jq")
        return Retryable(f"the process of the filter has ended with {returned}")


@asynccontextmanager
async def open_filter(text: str, *, seconds: float, memory: int) -> AsyncIterator[Filter]:
    """Run a filter, which must compile; `memory` is in bytes."""
    opened = Filter(text, seconds, memory)
    await opened.start()
    try:
        yield opened
    finally:
        await opened.stop()


async def _exchange(process: Process, document: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.writelines((len(document).to_bytes(4, "big"), document))
    await process.stdin.drain()
    return await process.stdout.readexactly(1)
