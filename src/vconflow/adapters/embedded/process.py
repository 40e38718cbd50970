"""One life of an embedded Valkey: started, asked, stopped."""

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from vconflow.adapters.embedded.folder import log_file, private, server_folder
from vconflow.adapters.embedded.program import find_allocator
from vconflow.adapters.parent_death import tied_to_us

__all__ = ["Launch", "has_answered", "is_answering", "last_words", "spawn", "stop"]

STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Launch:
    """Everything that each life of a server has in common; `fsync` is Redis' appendfsync."""

    program: Path
    data_dir: Path
    socket: Path
    fsync: str
    lock: IO[str]


async def spawn(launch: Launch) -> asyncio.subprocess.Process:
    """Start the server. It ends with the thread that calls this."""
    settings = {
        "port": "0",
        "unixsocket": str(launch.socket),
        "unixsocketperm": "700",
        "dir": str(server_folder(launch.data_dir)),
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": launch.fsync,
        "save": "",
        # The default of 64 MB would have it write everything anew every few seconds of load.
        "auto-aof-rewrite-min-size": "256mb",
        "maxmemory-policy": "noeviction",
    }
    arguments = [argument for name, value in settings.items() for argument in (f"--{name}", value)]
    log = await asyncio.to_thread(partial(open, log_file(launch.data_dir), "ab", opener=private))
    try:
        return await asyncio.create_subprocess_exec(
            *tied_to_us([str(launch.program), *arguments], signal.SIGTERM, umask=0o077),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=await asyncio.to_thread(_environment),
            pass_fds=(launch.lock.fileno(),),
            # Ctrl-C in a terminal is for vconflow, which still has work to finish here.
            start_new_session=True,
        )
    finally:
        log.close()


def _environment() -> dict[str, str]:
    allocator = find_allocator()
    preloaded = {} if allocator is None else {"LD_PRELOAD": str(allocator)}
    # What somebody preloads on purpose is left alone.
    return preloaded | os.environ


async def has_answered(process: asyncio.subprocess.Process, socket: Path) -> bool:
    """Wait until the server takes commands, or has ended: then False.

    Without a limit: loading a large data set takes its time.
    """
    while not await is_answering(socket):
        if process.returncode is not None:
            return False
        await asyncio.sleep(0.01)
    return True


async def is_answering(socket: Path) -> bool:
    """Whether a Redis or Valkey on a unix socket takes commands; False while it is loading."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:  # it is not there yet, or we have no file left for a connection
        return False
    try:
        writer.write(b"PING\r\n")
        reply = await reader.readline()
    except ConnectionError:
        return False
    finally:
        writer.close()
    return bool(reply) and not reply.startswith(b"-LOADING")


async def stop(process: asyncio.subprocess.Process) -> None:
    """Ask the server to write everything out and end, and wait for that; kill it in the end."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def last_words(data_dir: Path, count: int = 15) -> str:
    """The last lines of the server's log. Reads a file: not for the event loop."""
    try:
        with log_file(data_dir).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 64 * 1024))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-count:])
    except OSError as error:
        return f"(no log: {error.strerror})"
