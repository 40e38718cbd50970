import pytest

from vconflow.errors import PartialFailure, Permanent, Retryable
from vconflow.testing.contracts import StorageContract
from vconflow.testing.contracts.storage import stored
from vconflow.testing.memory_storage import MemoryStorage


class TestMemoryStorage(StorageContract):
    @pytest.fixture
    async def storage(self) -> MemoryStorage:
        return MemoryStorage()


async def test_fails_as_told() -> None:
    storage = MemoryStorage()
    storage.fail_with = Retryable("away")
    for call in (storage.put([stored()]), storage.get("u"), storage.delete("u"), storage.ping()):
        with pytest.raises(Retryable, match="away"):
            await call
    assert len(storage.batches) == 1
    assert storage.vcons == {}


async def test_refuses_some_and_keeps_the_others() -> None:
    storage = MemoryStorage()
    good, bad = stored(), stored()
    storage.refuse[bad.uuid] = Permanent("no")
    with pytest.raises(PartialFailure) as caught:
        await storage.put([good, bad])
    assert list(caught.value.failures) == [bad.uuid]
    assert await storage.get(good.uuid) == good.document
    assert await storage.get(bad.uuid) is None
