"""The storage `file` and whole batches: what is synced together, and what a kill leaves of them."""

import asyncio
import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import vconflow
from vconflow.adapters.storages import durable_files
from vconflow.adapters.storages.file import FileOptions, FileStorage
from vconflow.model.entry import StoredVcon
from vconflow.testing.contracts import resources_for
from vconflow.testing.contracts.storage import stored

_DAY = 86_400.0

KILLED = """
import asyncio, sys
from pathlib import Path
from vconflow.adapters.storages.file import FileOptions, FileStorage
from vconflow.testing.contracts import resources_for
from vconflow.testing.contracts.storage import stored

async def main():
    options = FileOptions(fsync=sys.argv[2] == "True")
    async with FileStorage.open(options, resources_for(Path(sys.argv[1]), name="archive")) as s:
        async def write():
            for turn in range(10**9):
                vcons = [stored(created_at=1.0 + n % 5 * 86400.0) for n in range(100)]
                await s.put(vcons)
                print(*(vcon.uuid for vcon in vcons), flush=True)
        await asyncio.gather(write(), write())

asyncio.run(main())
"""


def _spread(number: int, days: int = 5) -> list[StoredVcon]:
    return [stored(created_at=1.0 + n % days * _DAY) for n in range(number)]


def _files(root: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in root.glob("[0-9]*/*/*/*.json")}


@pytest.mark.parametrize("fsync", [True, False])
async def test_a_kill_takes_nothing_that_was_reported_and_leaves_no_half_file(
    tmp_path: Path, fsync: bool
) -> None:
    reported: list[str] = []
    for _ in range(5):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", KILLED, str(tmp_path), str(fsync)),
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(vconflow.__file__).parents[1])},
        )
        assert process.stdout is not None
        reported += (await process.stdout.readline()).decode().split()
        await asyncio.sleep(random.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        rest = (await process.stdout.read()).decode()
        await process.wait()
        reported += rest[: rest.rfind("\n") + 1].split()
    files = _files(tmp_path / "storage" / "archive")
    assert len(reported) >= 500
    assert set(reported) <= files.keys()
    for uuid, content in files.items():
        assert content == stored(uuid).document


async def test_a_batch_over_many_folders_needs_few_open_files(tmp_path: Path) -> None:
    vcons = _spread(400, days=40)
    resources = resources_for(tmp_path, name="archive")
    async with FileStorage.open(FileOptions(), resources) as storage:
        await storage.ping()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 80, limits[1]))
        try:
            await storage.put(vcons)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    root = tmp_path / "storage" / "archive"
    assert _files(root) == {vcon.uuid: vcon.document for vcon in vcons}
    assert list((root / ".tmp").iterdir()) == []


async def test_all_begin_to_be_written_before_the_first_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    begin, fsync = durable_files._sync_file_range, os.fsync
    assert begin is not None

    def noted_begin(*arguments: object) -> int:
        steps.append("begin")
        result: int = begin(*arguments)
        assert result == 0
        return result

    def noted_fsync(descriptor: int) -> None:
        steps.append("sync")
        fsync(descriptor)

    async with FileStorage.open(FileOptions(), resources_for(tmp_path)) as storage:
        vcons = _spread(20, days=2)
        await storage.put(vcons)
        monkeypatch.setattr(durable_files, "_sync_file_range", noted_begin)
        monkeypatch.setattr(os, "fsync", noted_fsync)
        await storage.put(vcons)
    assert steps == ["begin"] * 20 + ["sync"] * 20 + ["sync"] * 2


async def test_the_last_of_revisions_in_different_folders_is_the_newest(tmp_path: Path) -> None:
    async with FileStorage.open(FileOptions(fsync=False), resources_for(tmp_path)) as storage:
        uuid = stored().uuid
        for rev in range(1, 200):
            members = f',"rev":{rev}'
            vcon = stored(uuid, rev=rev, members=members, created_at=1.0 + rev % 2 * _DAY)
            await storage.put([vcon])
            assert await storage.get(uuid) == vcon.document
