"""A chain that stops at a chosen stage until the test lets it go on."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from pipeline_support import FAST, Site, unit

from vconflow.adapters.storages.file import FileOptions, FileStorage
from vconflow.adapters.storages.postgres import PostgresOptions, PostgresStorage
from vconflow.errors import Retryable
from vconflow.model.entry import StoredVcon
from vconflow.model.vcon import Vcon
from vconflow.pipeline.fanout import StorageUnit
from vconflow.ports.component import Secret
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.ports.storage import ReadableStorage
from vconflow.testing.contracts import resources_for
from vconflow.testing.memory_storage import MemoryStorage

STAGES = ["link", "link retry", "storing", "stored", "storage retry"]
"""Inside a link; a link's retry is waiting; before a storage has it; before the finish; one
storage has it and the other's retry is waiting."""

_PAUSE = 0.3
"""Seconds until a retry: what the test does meanwhile takes a fraction of that."""


class Stop:
    """Where a chain waits, once. `reached` is set then; `go` lets it go on."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.reached = asyncio.Event()
        self.go = asyncio.Event()
        self.calls = 0

    def _is_first(self, stage: str) -> bool:
        if stage != self.stage or self.reached.is_set():
            return False
        self.reached.set()
        return True

    async def wait(self, stage: str) -> None:
        """Wait when this is the stage to stop at."""
        if self._is_first(stage):
            await self.go.wait()

    def fail(self, stage: str) -> None:
        """Fail for a moment when this is the stage to stop at."""
        if self._is_first(stage):
            raise Retryable("later", retry_after=_PAUSE)

    async def link(self, vcon: Vcon, run: LinkRun) -> Outcome:
        """Adds the tag `ours`."""
        self.calls += 1
        vcon.add_tag("ours", "x")
        await self.wait("link")
        self.fail("link retry")
        return CONTINUE


class StoppingStorage(MemoryStorage):
    """Waits or fails at the stages of storing."""

    def __init__(self, stop: Stop) -> None:
        super().__init__()
        self._stop = stop

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        await self._stop.wait("storing")
        self._stop.fail("storage retry")
        await super().put(vcons)
        await self._stop.wait("stored")


@asynccontextmanager
async def three_storages(
    stop: Stop, folder: Path, dsn: str
) -> AsyncIterator[dict[str, StorageUnit]]:
    """Memory, which stops; a file storage; a PostgreSQL."""
    resources = resources_for(folder)
    async with AsyncExitStack() as stack:
        opened: Mapping[str, ReadableStorage] = {
            "memory": StoppingStorage(stop),
            "file": await stack.enter_async_context(
                FileStorage.open(FileOptions(path=str(folder / "vcons"), fsync=False), resources)
            ),
            "postgres": await stack.enter_async_context(
                PostgresStorage.open(PostgresOptions(dsn=Secret(dsn)), resources)
            ),
        }
        yield {name: unit(name, storage, retry=FAST) for name, storage in opened.items()}


async def copies(units: Mapping[str, StorageUnit], uuid: str) -> dict[str, bytes | None]:
    """What each storage holds of a vCon."""
    return {name: await item.storage.get(uuid) for name, item in units.items()}  # type: ignore[attr-defined]


async def change(it: Site, uuid: str, name: str) -> None:
    """Replace the vCon as a client does that read it just before and adds a tag."""
    vcon = Vcon(await it.lookup.get(uuid) or b"")
    vcon.add_tag(name, "x")
    await it.ingest.accept(vcon.to_bytes(), expect_uuid=uuid, expect_rev=0)
