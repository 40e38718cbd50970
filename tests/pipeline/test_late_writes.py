"""A replica that lost its entry while a storage was writing must not have the last word there."""

import asyncio
from collections.abc import Sequence

import pytest
from pipeline_support import Site, site, step, unit, until, vcon
from stops_support import Stop, StoppingStorage

from vconflow.model.entry import StoredVcon
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.testing.memory_storage import MemoryStorage


class Forgetful(StoppingStorage):
    """Keeps whatever comes last, as a storage does that cannot compare revisions."""

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        await self._stop.wait("storing")
        self.vcons.update({vcon.uuid: vcon for vcon in vcons})


@pytest.mark.parametrize("repeatable", [False, True])
@pytest.mark.parametrize("renews", [False, True])
@pytest.mark.parametrize("what", ["delete", "replace"])
async def test_a_late_write_is_put_right(
    valkey_url: str, what: str, renews: bool, repeatable: bool
) -> None:
    stop = Stop("storing")
    storage = Forgetful(stop)
    units = {"s": unit("s", storage)}
    a = step("a", repeatable=repeatable)
    chain = Chain("main", (a,), ("s",), ("in",), egress=("out",))
    async with site(valkey_url, chain, storages=units, name="dying", lease=0.4, grace=0) as dying:
        document = vcon()
        (uuid,) = await dying.submit(document)
        await stop.reached.wait()
        leases = dying.replica._leases
        await dying.replica._supervisor.stop("leases")
        async with site(valkey_url, chain, storages=units, name="heir", lease=0.4) as heir:
            if what == "delete":
                await heir.lookup.delete(uuid)
            else:
                await heir.ingest.accept(document[:-1] + b', "subject": "newer"}', ("in",))
            await heir.settled()
            if renews:
                # It learns that the entry is lost while the storage is still writing.
                await leases.renew()
            stop.go.set()
            await asyncio.sleep(0.3)
            current = await heir.lookup.get(uuid)
            assert (current is None) == (what == "delete")
            stored = {item.uuid: item.document for item in storage.vcons.values()}
            assert stored == ({} if current is None else {uuid: current})
            if current is not None:
                assert Vcon(current).subject == "newer"


class Delayed(MemoryStorage):
    """What one replica sees of a storage: each of its writes waits until the test lets it go."""

    def __init__(self, shared: MemoryStorage) -> None:
        super().__init__()
        self.vcons = shared.vcons
        self.writes: list[asyncio.Event] = []

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        self.writes.append(write := asyncio.Event())
        await write.wait()
        await super().put(vcons)


async def test_a_vcon_deleted_while_a_late_write_is_put_right_stays_deleted(
    valkey_url: str,
) -> None:
    shared = MemoryStorage()
    delayed = Delayed(shared)
    chain = Chain("main", (), ("s",), ("in",), egress=("out",))
    units = {"s": unit("s", delayed)}, {"s": unit("s", shared)}
    async with (
        site(valkey_url, chain, storages=units[0], name="frozen") as frozen,
        site(valkey_url, chain, storages=units[1], name="heir", lease=0.4, start=False) as heir,
    ):
        (uuid,) = await frozen.submit(vcon())
        await until(lambda: len(delayed.writes) == 1)
        await freeze(frozen)
        await heir.replica.start()
        await heir.settled()
        await heir.ingest.accept(vcon(uuid, subject="newer"))
        # It wakes up, learns that the entry was lost, and writes the newer one.
        delayed.writes[0].set()
        await until(lambda: len(delayed.writes) == 2)
        deletion = await heir.lookup.delete(uuid)
        assert (deletion.found, deletion.failed) == (True, {})
        delayed.writes[1].set()
        await until(lambda: not frozen.replica.consumer.owned())
        assert shared.vcons == {}
        assert (await heir.popped(), await heir.dead()) == ([uuid], [])


async def freeze(it: Site) -> None:
    """Let the leases of a replica look long expired."""
    client = it.backend.connections.commands
    key = "vconflow:list:in"
    ((entry, *_),) = await client.execute_command("XPENDING", key, "vconflow", "-", "+", 10)
    options = ("IDLE", 60_000, "JUSTID")
    await client.execute_command("XCLAIM", key, "vconflow", "frozen", 0, entry, *options)
