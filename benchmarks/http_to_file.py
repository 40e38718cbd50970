"""A full list through a chain with one tag, one file per vCon; and the whole way from the POST."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from benchmarks.harness.bare_files import BARE_FILES, bare_files
from benchmarks.harness.drain import Drain
from benchmarks.harness.figures import Figure, Limit, Options, Sample, Target, compare
from benchmarks.harness.passage import TAG, chain_config, completed, echoed, passed, switch
from benchmarks.harness.processes import Service, echo, vconflow

__all__ = ["run"]

ECHO = "bare Starlette that echoes the body"
OF_THE_ECHO = Target(0.2)
OF_THE_FILES = Target(0.7)
BARE_FILES_PER_SECOND = 2000
"""How many files a window of the bare loop writes; not how long it takes."""


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure the flow twice, without waiting for the disk and with it."""
    async for figure in _without_fsync(options):
        yield figure
    async for figure in _with_fsync(options):
        yield figure


async def _without_fsync(options: Options) -> AsyncIterator[Figure]:
    async def limit(seconds: float) -> Sample:
        return await echoed(server, seconds, options)

    async with vconflow(_config(fsync=False)) as service, echo() as server:
        ours = _Files(service, options)
        bare = Limit(ECHO, limit, OF_THE_ECHO)
        async for figure in compare("http_to_file, no fsync", ours.drained, bare, options=options):
            yield figure


async def _with_fsync(options: Options) -> AsyncIterator[Figure]:
    async def written(seconds: float) -> Sample:
        number = max(256, int(seconds * BARE_FILES_PER_SECOND))
        with tempfile.TemporaryDirectory(prefix="vcf-bench-") as folder:
            return await asyncio.to_thread(bare_files, Path(folder), number)

    async def limit(seconds: float) -> Sample:
        return await echoed(server, seconds, options)

    async with vconflow(_config(fsync=True)) as service, echo() as server:
        ours = _Files(service, options)
        bare = Limit(BARE_FILES, written, OF_THE_FILES)
        async for figure in compare("http_to_file, fsync", ours.drained, bare, options=options):
            yield figure
        whole = "http_to_file, fsync, from the POST"
        async for figure in compare(whole, ours.passed, Limit(ECHO, limit), options=options):
            yield figure


def _config(*, fsync: bool) -> dict[str, object]:
    config = chain_config(*TAG, storages=["files"])
    config["storages"] = {"files": {"module": "storage.file", "options": {"fsync": fsync}}}
    return config


class _Files:
    """Ours: after every window there have to be as many new files as vCons."""

    def __init__(self, service: Service, options: Options) -> None:
        self._service = service
        self._options = options
        self._folder = service.folder / "data" / "storage" / "files"
        self._drain = Drain(service)

    async def drained(self, seconds: float) -> Sample:
        return await self._counted(await self._drain.window(seconds))

    async def passed(self, seconds: float) -> Sample:
        await switch(self._service, "resume")
        return await self._counted(await passed(self._service, seconds, self._options))

    async def _counted(self, sample: Sample) -> Sample:
        files = await asyncio.to_thread(lambda: len(list(self._folder.rglob("*.json"))))
        if files != (done := await completed(self._service)):
            raise RuntimeError(f"{done} came through, but there are {files} files")
        return sample
