"""One `vconflow serve`, started again whenever it ends, as an init system would."""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from vconflow.testing.servers import free_port
from vconflow.testing.service_process import send_signal

from .options import LEASE

__all__ = ["Life", "Replica"]

_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_GRACE = 3
_PAUSE_BEFORE_RESTART = 0.5
# The kernel ends it when we die, however that happens.
_TIED = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()


@dataclass
class Life:
    """One process of a replica: `memory` is its resident size in bytes over monotonic time."""

    replica: str
    pid: int
    began: float
    ready: bool = False
    ended: float = 0.0
    code: int | None = None
    meant: str = ""
    """Why we ended it; empty when it was not us."""
    memory: list[tuple[float, int]] = field(default_factory=list)


class Replica:
    """`keep` runs it; `may_refuse` says whether Redis is in a state in which it may not start."""

    def __init__(
        self, name: str, folder: Path, redis_url: str, may_refuse: Callable[[], bool]
    ) -> None:
        self.name = name
        self.lives: list[Life] = []
        self.unexpected: list[str] = []
        self.log = folder / f"{name}.log"
        self._folder = folder
        self._port = free_port()
        self._may_refuse = may_refuse
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._environment = self._settings(redis_url)

    @property
    def url(self) -> str:
        """Where it answers, if it does."""
        return f"http://127.0.0.1:{self._port}"

    async def keep(self) -> None:
        """Run it until `stop`."""
        while not self._stopping:
            await self._live()
            if not self._stopping:
                await asyncio.sleep(_PAUSE_BEFORE_RESTART)

    def end(self, number: signal.Signals) -> None:
        """Send a signal that ends the process."""
        if self._process is not None and self._process.returncode is None:
            self.lives[-1].meant = number.name
            send_signal(self._process, number)

    def freeze(self, frozen: bool) -> None:
        """Stop the process in its tracks, or let it go on."""
        if self._process is not None:
            send_signal(self._process, signal.SIGSTOP if frozen else signal.SIGCONT)

    def stop(self) -> None:
        """Have `keep` end, once the process has drained."""
        self._stopping = True
        self.freeze(False)
        self.end(signal.SIGTERM)

    def measure(self) -> None:
        """Take the process's memory down."""
        life = self.lives[-1] if self.lives else None
        if life is None or not life.ready or life.ended:
            return
        try:
            pages = int(Path(f"/proc/{life.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            return  # it has just ended
        life.memory.append((time.monotonic(), pages * os.sysconf("SC_PAGE_SIZE")))

    async def _live(self) -> None:
        with self.log.open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                *_TIED,
                *(sys.executable, "-m", "vconflow", "serve"),
                *("--config", "config.yml", "--port", str(self._port), "--data-dir", "data"),
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env=self._environment,
                cwd=self._folder,
            )
        life = Life(self.name, process.pid, time.monotonic())
        self._process = process
        self.lives.append(life)
        if self._stopping:
            self.end(signal.SIGTERM)
        await self._watch(process, life)
        life.ended, life.code = time.monotonic(), process.returncode
        self._judge(life)

    async def _watch(self, process: asyncio.subprocess.Process, life: Life) -> None:
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_START_SECONDS):
                life.ready = b" ready on http://" in await process.stdout.readline()
        except TimeoutError:
            self.unexpected.append(f"{self.name} was not ready in {_START_SECONDS:g} s")
            self.end(signal.SIGKILL)
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                send_signal(process, signal.SIGKILL)
                await process.wait()

    def _judge(self, life: Life) -> None:
        if life.meant:
            # A SIGTERM that comes before the handler is there ends the process as it always does.
            early = -signal.SIGTERM if not life.ready else 0
            wanted = {"SIGTERM": (0, early), "SIGKILL": (-signal.SIGKILL,)}[life.meant]
            if life.code not in wanted and not (not life.ready and self._may_refuse()):
                self._blame(life, f"ended with {life.code} after {life.meant}")
        elif life.ready or not self._may_refuse():
            self._blame(life, f"ended by itself with {life.code}")

    def _blame(self, life: Life, what: str) -> None:
        age = life.ended - life.began
        self.unexpected.append(f"{self.name} (pid {life.pid}, {age:.0f} s old) {what}")

    def _settings(self, redis_url: str) -> dict[str, str]:
        ours = ("VCONFLOW_", "CONSERVER_", "REDIS_URL")
        return {k: v for k, v in os.environ.items() if not k.startswith(ours)} | {
            "REDIS_URL": redis_url,
            "VCONFLOW_REPLICA": self.name,
            "VCONFLOW_LEASE_SECONDS": str(LEASE),
            "VCONFLOW_GRACE_SECONDS": str(_GRACE),
            "VCONFLOW_DURABILITY": "fsync",
            "VCONFLOW_LOG_FORMAT": "json",
            # Documents leave Redis while the run goes on, and are read from the storages.
            "VCON_REDIS_EXPIRY": "15",
            "VCON_INDEX_EXPIRY": "60",
        }
