"""Putting a late write right, when that itself is not so easy."""

import asyncio
from collections.abc import Sequence

import pytest
from pipeline_support import FAST, Site, site, step, unit, until, vcon
from structlog.testing import capture_logs

from vconflow.errors import Permanent, Retryable
from vconflow.model.entry import StoredVcon
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.testing.memory_storage import MemoryStorage


class Last(MemoryStorage):
    """Keeps what comes last. What `late` writes, or deletes the first time, waits for `go`."""

    def __init__(self, shared: MemoryStorage | None = None, *, late: bool = False) -> None:
        super().__init__()
        self.late = late
        self.vcons = self.vcons if shared is None else shared.vcons
        self.writing, self.again, self.go = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.fails: list[Exception] = []

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        await self._wait()
        self.vcons.update({vcon.uuid: vcon for vcon in vcons})

    async def delete(self, uuid: str) -> bool:
        await self._wait()
        return await super().delete(uuid)

    async def _wait(self) -> None:
        if self.late and not self.writing.is_set():
            self.writing.set()
            await self.go.wait()
        elif self.late:
            self.again.set()
            if self.fails:
                raise self.fails.pop()

    def holds(self, uuid: str) -> object:
        """The subject of what it has."""
        return Vcon(self.vcons[uuid].document).subject if uuid in self.vcons else None


async def lose(it: Site) -> None:
    """Let the lease of the one entry look long expired."""
    client, key = it.backend.connections.commands, "vconflow:list:in"
    ((entry, *_),) = await client.execute_command("XPENDING", key, "vconflow", "-", "+", 10)
    options = ("IDLE", 60_000, "JUSTID")
    await client.execute_command("XCLAIM", key, "vconflow", "frozen", 0, entry, *options)


@pytest.mark.parametrize("what", ["delete", "replace"])
@pytest.mark.parametrize("trouble", ["failure", "renewal"])
async def test_it_goes_on_until_it_is_right(valkey_url: str, what: str, trouble: str) -> None:
    shared = Last()
    late = Last(shared, late=True)
    chain = Chain("main", (step("a"),), ("s",), ("in",), egress=("out",))
    units = {"s": unit("s", late, parallel=1)}, {"s": unit("s", shared)}
    async with (
        site(valkey_url, chain, storages=units[0], name="frozen") as frozen,
        site(valkey_url, chain, storages=units[1], name="heir", lease=0.4, start=False) as heir,
    ):
        (uuid,) = await frozen.submit(vcon(subject="old"))
        await late.writing.wait()
        await lose(frozen)
        await heir.replica.start()
        await heir.settled()
        if what == "delete":
            assert (await heir.lookup.delete(uuid)).found
        else:
            await heir.ingest.accept(vcon(uuid, subject="newer"))
        late.fails = [Retryable("503")] if trouble == "failure" else []
        late.go.set()
        if trouble == "renewal":
            # It learns that the entry is lost, perhaps while it is putting things right.
            await frozen.replica._leases.renew()
        wanted = None if what == "delete" else "newer"
        await until(lambda: late.again.is_set() and shared.holds(uuid) == wanted)
        await until(lambda: not frozen.replica.consumer.owned())
        assert (await heir.popped(), await heir.dead()) == ([uuid], [])


async def test_what_is_left_at_the_end_of_the_replica_is_logged(valkey_url: str) -> None:
    shared = Last()
    late = Last(shared, late=True)
    chain = Chain("main", (), ("s",), ("in",))
    units = {"s": unit("s", late)}, {"s": unit("s", shared)}
    heir = site(valkey_url, chain, storages=units[1], name="heir", lease=0.4, start=False)
    frozen = site(valkey_url, chain, storages=units[0], name="frozen", grace=0.1)
    async with heir as it:
        async with frozen as dying:
            (uuid,) = await dying.submit(vcon(subject="old"))
            await late.writing.wait()
            await lose(dying)
            await it.replica.start()
            await it.settled()
            await it.ingest.accept(vcon(uuid, subject="newer"))
            late.fails = [Retryable("503")] * 100
            late.go.set()
            await late.again.wait()
            with capture_logs() as logs:
                await dying.replica.stop()
        assert shared.holds(uuid) == "old"
        (left,) = [log for log in logs if log["event"] == "late_write_left"]
        assert (left["uuid"], left["storages"]) == (uuid, ["s"])


async def test_a_dead_letter_is_not_the_last_word_either(valkey_url: str) -> None:
    late, bad = Last(late=True), MemoryStorage()
    dying = Chain("dying", (), ("s", "bad"), ("in",))
    other = Chain("other", (), ("s",), ("more",))
    units = {"s": unit("s", late), "bad": unit("bad", bad, retry=FAST)}
    async with site(valkey_url, dying, other, storages=units) as it:
        (uuid,) = await it.submit(vcon(subject="old"))
        bad.refuse = {uuid: Permanent("no")}
        await late.writing.wait()
        await it.ingest.accept(vcon(uuid, subject="newer"), ("more",))
        await it.settled("more")
        assert late.holds(uuid) == "newer"
        late.go.set()
        await it.settled("in", "more")
        await until(lambda: late.holds(uuid) == "newer")
        assert len(await it.dead()) == 1
