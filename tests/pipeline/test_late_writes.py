"""A replica that lost its entry while a storage was writing must not have the last word there."""

import asyncio
from collections.abc import Sequence

import pytest
from pipeline_support import site, step, unit, vcon
from stops_support import Stop, StoppingStorage

from vconflow.model.entry import StoredVcon
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain


class Forgetful(StoppingStorage):
    """Keeps whatever comes last, as a storage does that cannot compare revisions."""

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        await self._stop.wait("storing")
        self.vcons.update({vcon.uuid: vcon for vcon in vcons})


@pytest.mark.parametrize("renews", [False, True])
@pytest.mark.parametrize("what", ["delete", "replace"])
async def test_a_late_write_is_put_right(valkey_url: str, what: str, renews: bool) -> None:
    stop = Stop("storing")
    storage = Forgetful(stop)
    units = {"s": unit("s", storage)}
    chain = Chain("main", (step("a"),), ("s",), ("in",), egress=("out",))
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
