"""The storage `file` on a real file system."""

import asyncio
import gzip
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import vconflow
from vconflow.adapters.storages.file import FileOptions, FileStorage
from vconflow.adapters.storages.revisions import Revisions
from vconflow.errors import PartialFailure, Permanent, Retryable
from vconflow.ports.component import Resources
from vconflow.testing.contracts import (
    Outage,
    Refusal,
    StorageContract,
    StorageFaultsContract,
    resources_for,
)
from vconflow.testing.contracts.storage import stored
from vconflow.testing.contracts.storage_faults import SECRET, reading

OPTION_SETS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "flat": {"organize_by_date": False},
    "compressed": {"compression": True},
    "every version": {"add_timestamp_to_filename": True, "filename": "vcon"},
    "flat versions": {
        "add_timestamp_to_filename": True,
        "organize_by_date": False,
        "compression": True,
    },
    "names": {"filename": "vcon", "extension": "vcon.json", "fsync": False},
}


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    return resources_for(tmp_path, name="archive")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "storage" / "archive"


@pytest.fixture
async def opened(resources: Resources) -> AsyncIterator[FileStorage]:
    async with FileStorage.open(FileOptions(), resources) as storage:
        yield storage


@pytest.mark.parametrize("options", OPTION_SETS.values(), ids=OPTION_SETS.keys())
class TestFileStorage(StorageContract):
    @pytest.fixture
    async def storage(
        self, resources: Resources, options: dict[str, Any]
    ) -> AsyncIterator[FileStorage]:
        given = msgspec.convert(options, FileOptions, strict=False)
        async with FileStorage.open(given, resources) as storage:
            yield storage


class TestFileStorageFaults(StorageFaultsContract):
    @pytest.fixture
    async def outage(self, resources: Resources, tmp_path: Path) -> AsyncIterator[Outage]:
        """A disk that is away, and comes back with what it had. Nobody can make the folder anew."""
        folder, disk = tmp_path / "mounted", tmp_path / "disk"
        disk.mkdir()
        folder.symlink_to(disk)

        async def begin() -> None:
            other = tmp_path / "other"
            other.write_text("a file where the folder should be")
            other.replace(folder)

        async def end() -> None:
            other = tmp_path / "other"
            other.symlink_to(disk)
            other.replace(folder)

        async with FileStorage.open(FileOptions(path=str(folder)), resources) as storage:
            yield Outage(storage, begin, end, reading(storage))

    @pytest.fixture
    async def refusal(self, resources: Resources) -> AsyncIterator[Refusal]:
        bad = stored(members=f',"subject":"{SECRET * 400}"')
        async with FileStorage.open(FileOptions(max_file_size=2000), resources) as storage:
            yield Refusal(storage, bad, reading(storage))


def _files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


async def test_layout_by_date_in_utc(opened: FileStorage, root: Path) -> None:
    late, undated = stored(created_at=1_735_689_599.9), stored(created_at=0.0)
    await opened.put([late, undated])
    assert _files(root) == sorted([f"2024/12/31/{late.uuid}.json", f"{undated.uuid}.json"])
    assert (root / "2024/12/31" / f"{late.uuid}.json").read_bytes() == late.document


async def test_a_data_folder_that_it_makes_is_private(tmp_path: Path) -> None:
    resources = resources_for(tmp_path / "data", name="archive")
    async with FileStorage.open(FileOptions(), resources):
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "data/storage/archive").stat().st_mode & 0o777 == 0o755


async def test_compressed_flat_layout_in_a_given_folder(
    resources: Resources, tmp_path: Path
) -> None:
    options = FileOptions(
        path=str(tmp_path / "a" / "b"), compression=True, organize_by_date=False, filename="vcon"
    )
    vcon = stored()
    async with FileStorage.open(options, resources) as storage:
        await storage.put([vcon])
    (name,) = _files(tmp_path / "a" / "b")
    assert name == f"vcon_{vcon.uuid}.json.gz"
    assert gzip.decompress((tmp_path / "a" / "b" / name).read_bytes()) == vcon.document


@pytest.mark.parametrize(("files", "folders"), [(0o640, 0o2750), ("0640", "0o2750")])
async def test_modes_hold_whatever_the_umask(
    resources: Resources, root: Path, files: int | str, folders: int | str
) -> None:
    raw = {"file_permissions": files, "dir_permissions": folders}
    options = msgspec.convert(raw, FileOptions, strict=False)
    vcon = stored(created_at=1.0)
    umask = os.umask(0o077)
    try:
        async with FileStorage.open(options, resources) as storage:
            await storage.put([vcon])
    finally:
        os.umask(umask)
    assert (root / "1970/01/01" / f"{vcon.uuid}.json").stat().st_mode & 0o7777 == 0o640
    for folder in (root, root / "1970", root / "1970/01/01"):
        assert folder.stat().st_mode & 0o7777 == 0o2750


@pytest.mark.parametrize(
    "raw",
    [
        {"file_permissions": "rw-r--r--"},
        {"dir_permissions": 0o10000},
        {"dir_permissions": 755},
        {"dir_permissions": 2750},
        {"dir_permissions": 500},
        {"file_permissions": 440},
        {"dir_permissions": "0600"},
        {"file_permissions": 644},
        {"file_permissions": 600},
        {"filename": "../escape"},
        {"extension": "a/b"},
        {"extension": "sh"},
        {"extension": "PHP.json"},
        {"file_permissions": "0755"},
        {"file_permissions": 0o4644},
        {"max_file_size": 0},
    ],
)
def test_refuses_options(raw: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError, match=next(iter(raw))):
        msgspec.convert(raw, FileOptions, strict=False)


async def test_keeps_every_version_and_returns_the_newest(resources: Resources, root: Path) -> None:
    old = stored()
    new = stored(old.uuid, rev=2, members=',"x":2')
    async with FileStorage.open(FileOptions(add_timestamp_to_filename=True), resources) as storage:
        await storage.put([old])
        await storage.put([new])
        assert len(_files(root)) == 2
        assert await storage.get(old.uuid) == new.document
        assert await storage.delete(old.uuid)
    assert _files(root) == []


async def test_finds_what_other_settings_wrote(resources: Resources, root: Path) -> None:
    vcon = stored()
    settings = [FileOptions(), FileOptions(compression=True), FileOptions(organize_by_date=False)]
    for written in settings:
        async with FileStorage.open(written, resources) as storage:
            await storage.put([vcon])
        for other in settings:
            async with FileStorage.open(other, resources) as storage:
                assert await storage.get(vcon.uuid) == vcon.document
    assert len(_files(root)) == 3
    async with FileStorage.open(settings[0], resources) as storage:
        assert await storage.delete(vcon.uuid)
    assert _files(root) == []


async def test_too_large_a_vcon_fails_alone(resources: Resources) -> None:
    small, large = stored(), stored(members=',"subject":"' + "x" * 2000 + '"')
    async with FileStorage.open(FileOptions(max_file_size=2000), resources) as storage:
        with pytest.raises(PartialFailure) as caught:
            await storage.put([small, large])
        assert await storage.get(small.uuid) == small.document
        assert await storage.get(large.uuid) is None
    assert isinstance(caught.value.failures.pop(large.uuid), Permanent)
    assert not caught.value.failures


@pytest.mark.parametrize("uuid", ["../../../etc/passwd", "", "*", "a/b"])
async def test_only_a_uuid_becomes_a_path(opened: FileStorage, uuid: str) -> None:
    for call in (opened.get(uuid), opened.delete(uuid)):
        with pytest.raises(Permanent, match="not a UUID"):
            await call
    vcon = stored()
    with pytest.raises(PartialFailure) as caught:
        await opened.put([vcon, msgspec.structs.replace(vcon, uuid=uuid)])
    assert list(caught.value.failures) == [uuid]


async def test_a_damaged_file_is_said_to_be_damaged(resources: Resources, root: Path) -> None:
    vcon = stored(created_at=0.0)
    async with FileStorage.open(FileOptions(compression=True), resources) as storage:
        await storage.put([vcon])
        path = root / f"{vcon.uuid}.json.gz"
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(Permanent, match="damaged"):
            await storage.get(vcon.uuid)


async def test_an_unusable_folder_can_be_repaired(resources: Resources, tmp_path: Path) -> None:
    vcons = [stored(), stored()]
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    async with FileStorage.open(FileOptions(path=str(blocked)), resources) as storage:
        for call in (storage.ping(), storage.put(vcons), storage.get(vcons[0].uuid)):
            with pytest.raises(Retryable):
                await call
        blocked.unlink()
        await storage.ping()
        await storage.put(vcons)
        assert await storage.get(vcons[0].uuid) == vcons[0].document


async def test_one_folder_that_fails_does_not_fail_the_others(
    opened: FileStorage, root: Path
) -> None:
    (root / "1970").write_text("in the way")
    good, bad = stored(), stored(created_at=1.0)
    with pytest.raises(PartialFailure) as caught:
        await opened.put([good, bad])
    assert isinstance(caught.value.failures[bad.uuid], Retryable)
    assert list(caught.value.failures) == [bad.uuid]
    assert await opened.get(good.uuid) == good.document
    assert list((root / ".tmp").iterdir()) == []


async def test_a_folder_removed_meanwhile_is_made_again(opened: FileStorage, root: Path) -> None:
    vcon = stored(created_at=1.0)
    await opened.put([vcon])
    assert await opened.delete(vcon.uuid)
    (root / "1970/01/01").rmdir()
    await opened.put([vcon])
    assert await opened.get(vcon.uuid) == vcon.document


async def test_a_file_that_the_system_refuses_leaves_nothing(
    opened: FileStorage, root: Path
) -> None:
    large, small = stored(members=',"subject":"' + "x" * 60_000 + '"'), stored()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(PartialFailure) as caught:
            await opened.put([large, small])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(caught.value.failures) == [large.uuid]
    assert [Path(name).name for name in _files(root)] == [f"{small.uuid}.json"]


async def test_abandoned_files_are_removed_at_the_next_start(
    resources: Resources, root: Path
) -> None:
    (root / ".tmp").mkdir(parents=True)
    old, fresh = root / ".tmp" / "old", root / ".tmp" / "fresh"
    for path in (old, fresh):
        path.write_text("half")
    os.utime(old, (1, 1))
    async with FileStorage.open(FileOptions(), resources):
        assert _files(root) == [".tmp/fresh"]


async def test_syncs_files_before_the_rename_and_folders_after(
    opened: FileStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await opened.ping()
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append("file" if path.is_file() else str(path.relative_to(root.parent)))
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        steps.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    await opened.put([stored(created_at=1.0), stored(created_at=2.0)])
    ancestors = ["archive", "archive/1970", "archive/1970/01"]
    assert steps == ["file", "file", *ancestors, "rename", "rename", "archive/1970/01/01"]


def test_a_late_write_does_not_undo_a_newer_one() -> None:
    revisions, written = Revisions(), []
    for rev in (2, 1, 2, 3):
        revisions.commit("u", rev, lambda known, rev=rev: written.append((rev, known)))
    assert written == [(2, False), (2, True), (3, True)]


KILLED = """
import asyncio, sys
from pathlib import Path
from vconflow.adapters.storages.file import FileOptions, FileStorage
from vconflow.testing.contracts import resources_for
from vconflow.testing.contracts.storage import stored

async def main():
    members = ',"subject":"' + "x" * 300_000 + '"'
    async with FileStorage.open(FileOptions(fsync=False), resources_for(Path(sys.argv[1]))) as s:
        print("ready", flush=True)
        while True:
            await s.put([stored(members=members) for _ in range(20)])

asyncio.run(main())
"""


async def test_a_killed_process_leaves_no_half_file(tmp_path: Path) -> None:
    for _ in range(5):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", KILLED, str(tmp_path)),
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(vconflow.__file__).parents[1])},
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        await asyncio.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    files = list(tmp_path.rglob("*.json"))
    assert files
    for path in files:
        assert len(msgspec.json.decode(path.read_bytes())["subject"]) == 300_000
