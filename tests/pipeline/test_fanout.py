"""Writing to storages: what is under way at the same time."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from pipeline_support import unit

from vconflow.errors import PartialFailure, Retryable
from vconflow.model.entry import StoredVcon
from vconflow.pipeline.fanout import Fanout, StorageUnit
from vconflow.testing.contracts.storage import stored
from vconflow.testing.memory_storage import MemoryStorage


class Meeting(MemoryStorage):
    """Takes a batch when as many are under way as meet at the barrier."""

    def __init__(self, barrier: asyncio.Barrier) -> None:
        super().__init__()
        self._barrier = barrier

    async def put(self, vcons: Sequence[StoredVcon]) -> None:
        async with asyncio.timeout(30):
            await self._barrier.wait()
        await super().put(vcons)


async def test_all_storages_of_a_vcon_are_written_at_the_same_time() -> None:
    barrier, names = asyncio.Barrier(4), ["a", "b", "c", "d"]
    storages = {name: Meeting(barrier) for name in names}
    fanout = Fanout({name: unit(name, storage) for name, storage in storages.items()})
    vcon = stored()
    assert await fanout.store(vcon, names) == {}
    assert all(storage.vcons == {vcon.uuid: vcon} for storage in storages.values())


async def test_what_a_chain_has_under_way_is_written_in_two_batches_at_the_same_time() -> None:
    storage = Meeting(asyncio.Barrier(2))
    fanout = Fanout({"a": unit("a", storage)})
    vcons = [stored() for _ in range(128)]
    results = await asyncio.gather(*(fanout.store(vcon, ["a"]) for vcon in vcons))
    assert results == [{}] * 128
    assert [len(batch) for batch in storage.batches] == [64, 64]


async def test_nothing_relies_on_a_storage_that_forgets() -> None:
    keeps = StorageUnit("keeps", MemoryStorage())
    forgets = StorageUnit("forgets", MemoryStorage(), forgets=True)
    fanout = Fanout({"keeps": keeps, "forgets": forgets})
    assert fanout.keepers(("forgets",)) == ()
    assert fanout.keepers(("forgets", "keeps")) == ("keeps",)
    vcon = stored()
    await fanout.store(vcon, ["forgets"])
    assert await fanout.get(vcon.uuid) == (vcon.document, {})


@pytest.mark.parametrize("named", [str.upper, None])
async def test_a_storage_that_does_not_say_which_failed(named: Callable[[str], str] | None) -> None:
    class Vague(MemoryStorage):
        async def put(self, vcons: Sequence[StoredVcon]) -> None:
            uuids = [named(vcon.uuid) for vcon in vcons] if named else []
            raise PartialFailure(dict.fromkeys(uuids, Retryable("down")))

    fanout = Fanout({"a": unit("a", Vague())})
    failures = await fanout.store(stored(), ["a"])
    assert str(failures["a"]).startswith("storage 'a' does not say which vCons failed")
