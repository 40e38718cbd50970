"""A server process with a data folder."""

import asyncio
import resource
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

__all__ = ["Server", "free_port", "limit_files"]

START_SECONDS = 60.0
STOP_SECONDS = 20.0


class Server:
    """A server process with a data folder that outlives the process.

    `start` and `stop` are coroutines; `kill`, `pause` and `resume` send a signal and return.
    Start it from the main thread: the server dies with the thread that started it.
    """

    url: str
    """Where clients reach it; stays the same over restarts."""
    stop_signal = signal.SIGTERM

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The pid of the running process."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not stopped or killed since."""
        return self._process is not None

    async def start(self) -> None:
        """Start the process and wait until it takes commands."""
        if self._process is not None:
            raise RuntimeError("the server runs already")
        await self.prepare()
        self._process = self._spawn()
        async with asyncio.timeout(START_SECONDS):
            while not await self.answers():
                if self._process.poll() is not None:
                    self._process = None
                    raise RuntimeError(f"the server did not start:\n{self._last_log_lines()}")
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Ask the process to stop and wait for it; nothing to do when it does not run."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(signal.SIGCONT)
        process.send_signal(self.stop_signal)
        try:
            await asyncio.to_thread(process.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)
            raise

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Start it, and stop it in the end, also when it did not get ready."""
        try:
            await self.start()
            yield self
        finally:
            await self.stop()

    def kill(self) -> None:
        """Kill the process as `kill -9` does."""
        process = self._running()
        self._process = None
        process.kill()
        process.wait()

    def fill_disk(self) -> None:
        """Let no file of the process grow any more, as on a full disk."""
        files = [file for file in self.path.rglob("*") if file.is_file()]
        largest = max((file.stat().st_size for file in files), default=0)
        limit_files(self.pid, largest)

    def free_disk(self) -> None:
        """Let the files of the process grow again."""
        limit_files(self.pid, resource.RLIM_INFINITY)

    def pause(self) -> None:
        """Freeze the process: connections stay open and nothing answers."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen process go on."""
        self._running().send_signal(signal.SIGCONT)

    async def prepare(self) -> None:
        """What has to be there before the process starts."""

    def command(self) -> list[str]:
        """The program and its arguments."""
        raise NotImplementedError

    async def answers(self) -> bool:
        """Whether the process takes commands."""
        raise NotImplementedError

    @property
    def user(self) -> int | None:
        """The uid the process runs as, None for the caller's."""
        return None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server does not run")
        return self._process

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                _tied_to_this_thread(self.command()),
                cwd=self.path,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Python ignores SIGXFSZ, and so does the server then: see `fill_disk`.
                restore_signals=False,
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
            )

    def _last_log_lines(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


def limit_files(pid: int, size: int) -> None:
    """Let writes of a process beyond `size` bytes of a file fail; it must ignore SIGXFSZ."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def free_port() -> int:
    """A loopback TCP port that nothing listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def _tied_to_this_thread(command: Sequence[str]) -> list[str]:
    """Have the kernel kill the server when its parent dies; only Linux can."""
    setpriv = shutil.which("setpriv")
    return [*((setpriv, "--pdeathsig", "KILL") if setpriv else ()), *command]
