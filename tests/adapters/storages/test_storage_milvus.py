"""The storage `milvus` on a real server, and on the Milvus that runs inside the process."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from milvus_support import LOCAL, holding, opened, said

from vconflow.adapters.storages.milvus import MilvusStorage
from vconflow.errors import PartialFailure, Permanent
from vconflow.model.entry import StoredVcon
from vconflow.testing import servers
from vconflow.testing.contracts import StorageContract
from vconflow.testing.contracts.storage import AWKWARD, stored

FILLER = [
    f"We talked about the weather in week {number} and how many umbrellas were sold then."
    for number in range(120)
]
PARROT = "My grandmother keeps a green parrot that whistles the national anthem."


@pytest.fixture(params=["server", "embedded"])
def options(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """A collection on the shared server, the same for all tests here, or an empty one in a file."""
    if request.param == "embedded":
        return LOCAL | {"uri": str(tmp_path / "vectors.db")}
    server: servers.MilvusServer = request.getfixturevalue("milvus_server")
    return LOCAL | {"uri": server.url, "collection_name": "shared"}


@pytest.fixture
async def storage(options: dict[str, Any], tmp_path: Path) -> AsyncIterator[MilvusStorage]:
    async with opened(tmp_path, **options) as storage:
        yield storage


class TestMilvusStorage(StorageContract):
    @pytest.fixture
    async def storage(
        self, options: dict[str, Any], tmp_path: Path
    ) -> AsyncIterator[MilvusStorage]:
        async with opened(tmp_path, **options) as storage:
            yield storage


async def _texts(storage: MilvusStorage, *uuids: str) -> list[str]:
    return sorted(row["text"] for row in await storage._rows.of(uuids))


async def test_a_sentence_in_the_middle_of_a_long_conversation_is_found(
    storage: MilvusStorage,
) -> None:
    long = said(*FILLER[:60], PARROT, *FILLER[60:])
    others = [said(*FILLER[n : n + 10]) for n in range(8)]
    await storage.put([*others, long])
    hits = await storage.search(PARROT, 3)
    assert hits[0].uuid == long.uuid
    assert PARROT in hits[0].text
    assert len(hits[0].text) <= 300
    assert 1 >= hits[0].score > hits[1].score >= hits[2].score
    assert len({hit.uuid for hit in hits}) == 3
    assert await storage.delete(long.uuid)


async def test_a_vcon_fills_one_place_however_many_passages_fit(storage: MilvusStorage) -> None:
    crowd = said(*(f"Zebra number {n} is a striped zebra of the zebra herd." for n in range(300)))
    few = [said(f"One zebra was seen at lake {name}.") for name in ("Como", "Garda", "Maggiore")]
    await storage.put([crowd, *few])
    hits = await storage.search("a striped zebra of the zebra herd", 4)
    assert {hit.uuid for hit in hits} == {crowd.uuid, *(vcon.uuid for vcon in few)}
    assert hits[0].uuid == crowd.uuid
    for vcon in (crowd, *few):
        assert await storage.delete(vcon.uuid)


async def test_what_is_the_same_has_the_score_1(storage: MilvusStorage) -> None:
    vcon = said("An unusual sentence about seventeen turquoise lighthouses.")
    await storage.put([vcon])
    text = "An unusual sentence about seventeen turquoise lighthouses."
    assert (await storage.search(text, 1))[0].score == pytest.approx(1, abs=1e-5)


async def test_a_newer_revision_replaces_all_passages(storage: MilvusStorage) -> None:
    old = said(*FILLER[:40])
    await storage.put([old])
    assert len(await _texts(storage, old.uuid)) > 1
    await storage.put([said("Only this is left.", uuid=old.uuid, rev=2)])
    assert await _texts(storage, old.uuid) == ["Only this is left."]
    await storage.put([said("This came late.", uuid=old.uuid, rev=1)])
    assert await _texts(storage, old.uuid) == ["Only this is left."]
    await storage.put([stored(old.uuid, rev=3)])
    assert await _texts(storage, old.uuid) == []


async def test_batches_at_the_same_time_end_as_the_newest(storage: MilvusStorage) -> None:
    vcons = [said(*FILLER[n : n + 10]) for n in range(12)]
    newer = [said(f"The last word of {n}.", uuid=vcon.uuid, rev=2) for n, vcon in enumerate(vcons)]
    await asyncio.gather(*(storage.put(vcons[start::3]) for start in range(3)), storage.put(newer))
    await storage.put(newer)  # the engine does when a revision has moved meanwhile
    texts = await _texts(storage, *(vcon.uuid for vcon in vcons))
    assert texts == sorted(f"The last word of {n}." for n in range(12))


async def test_putting_again_adds_no_rows(storage: MilvusStorage) -> None:
    vcons = [said(*FILLER[n : n + 30]) for n in range(4)]
    await storage.put(vcons)
    before = await _texts(storage, *(vcon.uuid for vcon in vcons))
    await storage.put(vcons)
    await storage.put(list(reversed(vcons)))
    assert await _texts(storage, *(vcon.uuid for vcon in vcons)) == before


async def test_a_deleted_vcon_does_not_come_back(storage: MilvusStorage) -> None:
    vcon = said(*FILLER[:30], "The submarine had a wooden periscope made of walnut.")
    await storage.put([vcon])
    question = "wooden periscope of a submarine"
    assert (await storage.search(question, 1))[0].uuid == vcon.uuid
    assert await storage.delete(vcon.uuid) is True
    assert vcon.uuid not in {hit.uuid for hit in await storage.search(question, 50)}
    assert await _texts(storage, vcon.uuid) == []
    assert await storage.delete(vcon.uuid) is False


async def test_a_revision_after_delete_is_kept(storage: MilvusStorage) -> None:
    old = said("Before it was deleted.", rev=3)
    await storage.put([old])
    await storage.delete(old.uuid)
    await storage.put([said("After it was deleted.", uuid=old.uuid, rev=5)])
    assert await _texts(storage, old.uuid) == ["After it was deleted."]


async def test_awkward_vcons_do_not_fail_the_others(storage: MilvusStorage) -> None:
    odd = [stored(members=members) for members in AWKWARD.values()]
    names = {"parties": [{"name": "x" * 300, "role": 7}, None], "analysis": [3, {"type": []}]}
    odd += [
        holding(subject="a\0b " * 200, dialog=[{"type": "text", "body": "\0"}]),
        stored(
            members=',"dialog":[{"type":"text","body":"a number","n":1e999999}],"metadata":1e9999'
        ),
        holding(subject="ü" * 5000, created_at=3, updated_at="never", metadata=[1], **names),
        holding(analysis=[{"type": "transcript", "body": body} for body in (None, 1, [[]], {})]),
        holding(dialog={"type": "text"}, parties="no list", transcript={"text": "no list"}),
        said("word" * 2000),
    ]
    plain = said("This one is as it should be.")
    await storage.put([*odd, plain])
    assert await _texts(storage, plain.uuid) == ["This one is as it should be."]
    for vcon in odd:
        await storage.delete(vcon.uuid)


async def test_names_the_one_that_cannot_be_read(storage: MilvusStorage) -> None:
    good = said("It can be read.")
    broken = StoredVcon("019d1000-0000-8000-8000-00000000000b", 1, b"secret words", 0.0)
    with pytest.raises(PartialFailure) as caught:
        await storage.put([broken, good])
    assert list(caught.value.failures) == [broken.uuid]
    failure = caught.value.failures[broken.uuid]
    assert isinstance(failure, Permanent)
    assert "secret" not in str(failure)
    assert await _texts(storage, good.uuid) == ["It can be read."]


async def test_ping_passes_and_nothing_is_readable(storage: MilvusStorage) -> None:
    await storage.ping()
    assert (storage.readable, storage.searchable) == (False, True)
