"""The limit of the file storage: writing the same files the same way, and nothing else."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from benchmarks.harness.cpu import CpuMeter
from benchmarks.harness.documents import fresh
from benchmarks.harness.figures import Sample

__all__ = ["BARE_FILES", "bare_files"]

BARE_FILES = "bare loop: write under another name, fsync, rename, fsync of the folders; 2 threads"

_THREADS = 2
_BATCH = 256
_OPEN_AT_ONCE = 32


def bare_files(root: Path, number: int) -> Sample:
    """Write so many vCons below `root`, as many at a time as the file storage does. Blocking."""
    (root / ".tmp").mkdir()
    files = [_file(root, uuid, document) for uuid, document in fresh(number)]
    for folder in {path.parent for _, path, _ in files}:
        folder.mkdir(parents=True)
    batches = [files[start : start + _BATCH] for start in range(0, number, _BATCH)]
    meter, started = CpuMeter({"loop": os.getpid()}), time.perf_counter()
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(_write_batch, batches):
            pass
    sample = Sample(number / (time.perf_counter() - started), cpu=meter.each(number))
    if len(list(root.rglob("*.json"))) != number:
        raise RuntimeError(f"the bare loop did not write {number} files")
    return sample


def _file(root: Path, uuid: str, document: bytes) -> tuple[Path, Path, bytes]:
    """The temporary name, the name, and what is in it; in folders by date as the storage's are."""
    day = msgspec.json.decode(document)["created_at"][:10].replace("-", "/")
    return root / ".tmp" / uuid, root / day / f"{uuid}.json", document


def _write_batch(files: Sequence[tuple[Path, Path, bytes]]) -> None:
    for start in range(0, len(files), _OPEN_AT_ONCE):
        some = files[start : start + _OPEN_AT_ONCE]
        opened = [_write(temporary, document) for temporary, _, document in some]
        for descriptor in opened:
            os.fsync(descriptor)
            os.close(descriptor)
        for temporary, path, _ in some:
            temporary.replace(path)
    for folder in {path.parent for _, path, _ in files}:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(descriptor)
        os.close(descriptor)


def _write(temporary: Path, document: bytes) -> int:
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    os.write(descriptor, document)
    return descriptor
