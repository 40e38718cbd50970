"""What every storage has to do."""

import asyncio
from typing import ClassVar

import pytest

from vconflow.model.entry import StoredVcon
from vconflow.model.identifiers import new_uuid
from vconflow.ports.storage import ReadableStorage, Storage, is_readable

__all__ = ["StorageContract", "stored"]

_CREATED_AT = 1_760_000_000.0
_DAY = 86_400.0


def stored(
    uuid: str = "", *, rev: int = 1, members: str = "", created_at: float = _CREATED_AT
) -> StoredVcon:
    """Return a small vCon; `members` is JSON text that begins with a comma."""
    uuid = uuid or new_uuid("contract")
    document = f'{{"uuid":"{uuid}","vcon":"0.0.1","created_at":"2025-10-09T08:53:20Z"{members}}}'
    return StoredVcon(uuid, rev, document.encode(), created_at)


AWKWARD = {
    "unicode": ',"subject":"Grüße 👋 \N{LINE SEPARATOR} 日本"',
    "order and spaces": ', "zz" : 1 ,"aa":[ ],"Mm":null',
    "character 0": r',"subject":"a\u0000b","dialog":[{"type":"text","body":"\u0000"}]',
    "escaped backslash": r',"subject":"a\\u0000b"',
    "numbers": ',"meta":{"big":123456789012345678901234567890,"f":1.10,"e":1E5}',
    "huge exponent": ',"meta":1e999999',
    "same name twice": ',"meta":1,"meta":2',
    "other types": ',"subject":["no text"],"vcon":7',
    "deep": ',"meta":' + "[" * 500 + "]" * 500,
    "1 MB": ',"subject":"' + "0123456789abcdef" * 65_536 + '"',
}


class StorageContract:
    """Subclass it, override the fixture `storage`, and pytest runs every test on your storage.

    `storage` yields an open, empty storage. Set `orders_revisions` to False for a storage that
    cannot compare revisions, `deletes` for one whose copies are out of reach; what needs `get` is
    left out when the storage is not `readable`.
    """

    pytestmark = pytest.mark.asyncio
    orders_revisions: ClassVar[bool] = True
    deletes: ClassVar[bool] = True

    @pytest.fixture
    async def storage(self) -> Storage:
        raise NotImplementedError("override the fixture `storage`")

    @pytest.fixture
    def readable(self, storage: Storage) -> ReadableStorage:
        """The storage as one that can be read; skips a test that needs it otherwise."""
        if not is_readable(storage):
            pytest.skip("not a readable storage")
        return storage

    @pytest.mark.parametrize("members", AWKWARD.values(), ids=AWKWARD.keys())
    async def test_returns_the_exact_bytes(self, readable: ReadableStorage, members: str) -> None:
        vcon = stored(members=members)
        await readable.put([vcon])
        assert await readable.get(vcon.uuid) == vcon.document

    async def test_awkward_vcons_do_not_fail_the_others(self, readable: ReadableStorage) -> None:
        vcons = [stored(members=members) for members in [*AWKWARD.values(), "", ""]]
        await readable.put(vcons)
        for vcon in vcons:
            assert await readable.get(vcon.uuid) == vcon.document

    @pytest.mark.parametrize("created_at", [0.0, -1.5, 1.0, 1_760_000_000.123456, 253402300799.0])
    async def test_takes_any_date(self, readable: ReadableStorage, created_at: float) -> None:
        vcon = stored(created_at=created_at)
        await readable.put([vcon])
        assert await readable.get(vcon.uuid) == vcon.document

    async def test_putting_again_changes_nothing(self, readable: ReadableStorage) -> None:
        vcon = stored()
        await readable.put([vcon])
        await readable.put([vcon])
        assert await readable.get(vcon.uuid) == vcon.document
        assert await readable.delete(vcon.uuid)
        assert await readable.get(vcon.uuid) is None

    async def test_a_newer_revision_replaces(self, readable: ReadableStorage) -> None:
        old = stored(rev=1)
        # One whose date was corrected may go elsewhere: the old copy must not come back.
        new = stored(old.uuid, rev=2, members=',"x":2', created_at=old.created_at - _DAY)
        await readable.put([old])
        await readable.put([new])
        assert await readable.get(old.uuid) == new.document
        assert await readable.delete(old.uuid)
        assert await readable.get(old.uuid) is None

    async def test_an_older_revision_is_ignored(self, readable: ReadableStorage) -> None:
        if not self.orders_revisions:
            pytest.skip("the storage cannot compare revisions")
        new = stored(rev=10)
        await readable.put([new])
        await readable.put([stored(new.uuid, rev=9, members=',"x":9')])
        assert await readable.get(new.uuid) == new.document

    async def test_a_revision_after_delete_is_kept(self, readable: ReadableStorage) -> None:
        old = stored(rev=3)
        await readable.put([old])
        assert await readable.delete(old.uuid)
        new = stored(old.uuid, rev=5, members=',"x":5')
        await readable.put([new])
        assert await readable.get(old.uuid) == new.document

    async def test_takes_a_large_batch(self, readable: ReadableStorage) -> None:
        vcons = [stored(members=f',"n":{n}', created_at=_CREATED_AT + n * 600) for n in range(200)]
        await readable.put(vcons)
        for vcon in vcons:
            assert await readable.get(vcon.uuid) == vcon.document

    async def test_takes_batches_at_the_same_time(self, readable: ReadableStorage) -> None:
        vcons = [stored() for _ in range(40)]
        newer = [stored(vcon.uuid, rev=2, members=',"x":2') for vcon in reversed(vcons)]
        await asyncio.gather(
            *(readable.put(vcons[start::4]) for start in range(4)), readable.put(newer)
        )
        if not self.orders_revisions:
            await readable.put(newer)
        for vcon in newer:
            assert await readable.get(vcon.uuid) == vcon.document

    async def test_delete_says_whether_it_was_there(self, storage: Storage) -> None:
        # With a text: an index of texts has nothing of a vCon without any.
        vcon, other = (stored(members=',"subject":"kept"') for _ in range(2))
        await storage.put([vcon, other])
        assert await storage.delete(vcon.uuid) is self.deletes
        assert await storage.delete(vcon.uuid) is False
        assert await storage.delete(other.uuid) is self.deletes

    async def test_an_unknown_vcon_is_none(self, readable: ReadableStorage) -> None:
        assert await readable.get(new_uuid("contract")) is None

    async def test_ping_passes(self, storage: Storage) -> None:
        await storage.ping()
        await storage.put([stored()])
        await storage.ping()
