"""Storages of the reference's contract."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from module_support import bench, until

from vconflow.adapters.modules.options import ModuleOptions
from vconflow.adapters.modules.returned import document_of
from vconflow.adapters.modules.storage import ModuleStorage
from vconflow.errors import PartialFailure, Permanent
from vconflow.pipeline.breaker import Breakers
from vconflow.pipeline.fanout import Fanout, StorageUnit
from vconflow.ports.storage import Storage
from vconflow.testing.contracts.storage import AWKWARD, StorageContract, stored
from vconflow.testing.memory_storage import MemoryStorage


@asynccontextmanager
async def shelf(folder: Path, **options: Any) -> AsyncIterator[ModuleStorage]:
    async with bench(folder) as at:
        given = ModuleOptions(module="ajax.shelf", values={"path": str(folder), **options})
        async with ModuleStorage.open(given, at.resources) as storage:
            yield storage


class TestShelf(StorageContract):
    orders_revisions = False

    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncIterator[Storage]:
        async with shelf(tmp_path) as opened:
            yield opened


def kept(folder: Path) -> dict[str, Any]:
    return {file.stem: json.loads(file.read_text()) for file in folder.glob("*.json")}


async def test_it_saves_the_very_revision(tmp_path: Path) -> None:
    async with shelf(tmp_path) as storage:
        old = stored(members=',"x":1')
        await storage.put([old])
        await storage.put([stored(old.uuid, rev=2, members=',"x":2,"subject":"Grüße \N{SNOWMAN}"')])
        assert kept(tmp_path)[old.uuid]["subject"] == "Grüße \N{SNOWMAN}"
        assert kept(tmp_path)[old.uuid]["x"] == 2


async def test_awkward_vcons(tmp_path: Path) -> None:
    vcons = [stored(members=members) for members in AWKWARD.values()]
    async with shelf(tmp_path) as storage:
        await storage.put(vcons)
    assert kept(tmp_path).keys() == {vcon.uuid for vcon in vcons}


async def test_what_fails_is_named_and_the_others_are_saved(tmp_path: Path) -> None:
    good, bad = stored(), stored(members=',"subject":"refused"')
    async with shelf(tmp_path, refuse="refused") as storage:
        with pytest.raises(PartialFailure) as caught:
            await storage.put([good, bad])
        assert isinstance(caught.value.failures[bad.uuid], ConnectionError)
        assert caught.value.failures.keys() == {bad.uuid}
    assert kept(tmp_path).keys() == {good.uuid}


async def test_an_outage_opens_the_breaker(tmp_path: Path) -> None:
    breakers = Breakers(2)
    async with shelf(tmp_path, refuse="vcon") as storage:
        fanout = Fanout({"s": StorageUnit("s", storage)}, breakers)
        for _ in range(2):
            await fanout.store(stored(), ["s"])
    assert [breaker.name for breaker in breakers.open_ones] == ["storage:s"]


async def test_it_cannot_change_the_vcon(tmp_path: Path) -> None:
    async with shelf(tmp_path, change=True) as storage:
        with pytest.raises(PartialFailure) as caught:
            await storage.put([vcon := stored()])
        assert "cannot change" in str(caught.value.failures[vcon.uuid])


async def test_one_that_cannot_delete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shelf(tmp_path) as storage:
        monkeypatch.setattr(storage, "_delete", None)
        await storage.put([vcon := stored()])
        assert await storage.delete(vcon.uuid) is False


async def test_a_batch_that_hangs_does_not_take_all_threads(tmp_path: Path) -> None:
    async with bench(tmp_path, most=64, most_stuck=64) as at:
        values = {"path": str(tmp_path), "seconds": 0.3}
        given = ModuleOptions(module="ajax.shelf", values=values)
        async with ModuleStorage.open(given, at.resources) as storage:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await storage.put([stored() for _ in range(40)])
        assert at.threads.stuck == 8
        await until(lambda: not at.threads.stuck)
    # What they would have saved they could not even read any more.
    assert not kept(tmp_path)


async def test_get_is_asked_after_whoever_reads_exactly(tmp_path: Path) -> None:
    exact, vcon = MemoryStorage(), stored(members=',"n":1.50')
    async with shelf(tmp_path) as storage:
        units = {
            "shelf": StorageUnit("shelf", storage, recall=storage.recall),
            "exact": StorageUnit("exact", exact),
        }
        fanout = Fanout(units)
        await fanout.store(vcon, ["shelf", "exact"])
        assert await fanout.get(vcon.uuid) == (vcon.document, {})
        await exact.delete(vcon.uuid)
        document, failures = await fanout.get(vcon.uuid)
        assert failures == {}
        assert json.loads(document or b"") == json.loads(vcon.document)
        assert fanout.keepers(("shelf",)) == ()
        assert await fanout.get(stored().uuid) == (None, {})


@pytest.mark.parametrize(
    ("there", "message"),
    [('["no", "vcon"]', "is no vCon"), (stored().document.decode(), "another vCon")],
)
async def test_what_get_returns_is_looked_at(tmp_path: Path, there: str, message: str) -> None:
    uuid = stored().uuid
    (tmp_path / f"{uuid}.json").write_text(there)
    async with shelf(tmp_path) as storage:
        assert storage.recall is not None
        with pytest.raises(Permanent, match=message):
            await storage.recall(uuid)


def test_forms_of_what_get_returns() -> None:
    vcon = stored()
    given = json.loads(vcon.document)
    for returned in (given, vcon.document, vcon.document.decode(), _Object(given)):
        assert json.loads(document_of(returned, vcon.uuid) or b"") == given
    assert [document_of(returned, vcon.uuid) for returned in (None, {}, "")] == [None] * 3
    with pytest.raises(Permanent, match="returned object"):
        document_of(object(), vcon.uuid)


@dataclass
class _Object:
    members: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return self.members
