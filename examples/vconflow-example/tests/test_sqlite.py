"""The storage, by the contract of all storages and by its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from vconflow.errors import Retryable
from vconflow.ports.storage import Storage
from vconflow.testing.contracts.resources import resources_for
from vconflow.testing.contracts.storage import StorageContract, stored
from vconflow_example.sqlite import SqliteOptions, SqliteStorage


class TestSqlite(StorageContract):
    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncIterator[Storage]:
        options = SqliteOptions(path=str(tmp_path / "vcons.sqlite"))
        async with SqliteStorage.open(options, resources_for(tmp_path)) as opened:
            yield opened

    async def test_a_lost_table_is_worth_another_try(self, storage: SqliteStorage) -> None:
        await storage._call(lambda connection: connection.execute("DROP TABLE vcons"))
        with pytest.raises(Retryable, match="no such table"):
            await storage.put([stored()])
