"""The data folder of an embedded Valkey: who may use it, and where things are in it."""

import asyncio
import fcntl
import os
import shutil
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import IO

from vconflow.errors import ConfigError, Problem, Unavailable

__all__ = ["log_file", "private", "server_folder", "socket_path", "take_folder"]

LONGEST_SOCKET_PATH = 107
"""Bytes: Linux keeps the address of a unix socket in 108, with a closing zero."""
LOCK_SECONDS = 5.0
"""How long the server of a killed vconflow may take to end: it holds the lock until then."""


def server_folder(data_dir: Path) -> Path:
    """Where the server keeps its files."""
    return data_dir / "valkey"


def log_file(data_dir: Path) -> Path:
    """Where the server writes what it has to say."""
    return server_folder(data_dir) / "valkey.log"


def private(path: str, flags: int) -> int:
    """An opener of files that nobody else may read: conversations may be in them."""
    return os.open(path, flags, 0o600)


def take_folder(data_dir: Path) -> IO[str]:
    """Make the folders and lock them; the lock is held while the file, or a copy of it, is open.

    Blocks for a while: not for the event loop. Raises `ConfigError` when the folder cannot be
    written, and `Unavailable` when another vconflow uses it.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        server_folder(data_dir).mkdir(mode=0o700, exist_ok=True)
        lock = open(data_dir / "vconflow.lock", "a+", opener=private)  # noqa: SIM115  # it is held
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


async def socket_path(data_dir: Path, stack: AsyncExitStack) -> Path:
    """Where the server listens: in the data folder, unless that name is too long for a socket."""
    socket = server_folder(data_dir) / "valkey.sock"
    if len(os.fsencode(socket)) <= LONGEST_SOCKET_PATH:
        return socket
    # mkdtemp: nobody else may enter it.
    short = await asyncio.to_thread(tempfile.mkdtemp, prefix="vconflow-")
    stack.push_async_callback(asyncio.to_thread, shutil.rmtree, short)
    return Path(short) / "valkey.sock"
