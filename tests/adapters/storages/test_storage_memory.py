import pytest

from vconflow.errors import Permanent, Retryable
from vconflow.testing.contracts import Outage, Refusal, StorageContract, StorageFaultsContract
from vconflow.testing.contracts.storage import stored
from vconflow.testing.contracts.storage_faults import SECRET, reading
from vconflow.testing.memory_storage import MemoryStorage


class TestMemoryStorage(StorageContract):
    @pytest.fixture
    async def storage(self) -> MemoryStorage:
        return MemoryStorage()


class TestMemoryStorageFaults(StorageFaultsContract):
    @pytest.fixture
    async def outage(self) -> Outage:
        storage = MemoryStorage()

        async def begin() -> None:
            storage.fail_with = Retryable("away")

        async def end() -> None:
            storage.fail_with = None

        return Outage(storage, begin, end, reading(storage))

    @pytest.fixture
    async def refusal(self) -> Refusal:
        storage, bad = MemoryStorage(), stored(members=f',"subject":"{SECRET}"')
        storage.refuse[bad.uuid] = Permanent("no")
        return Refusal(storage, bad, reading(storage))


async def test_fails_as_told() -> None:
    storage = MemoryStorage()
    storage.fail_with = Retryable("away")
    for call in (storage.put([stored()]), storage.get("u"), storage.delete("u"), storage.ping()):
        with pytest.raises(Retryable, match="away"):
            await call
    assert len(storage.batches) == 1
    assert storage.vcons == {}
