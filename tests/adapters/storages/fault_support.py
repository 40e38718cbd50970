"""Taking away the server of a storage, for `StorageFaultsContract`."""

from vconflow.ports.storage import ReadableStorage
from vconflow.testing.contracts import Outage
from vconflow.testing.contracts.storage_faults import reading
from vconflow.testing.servers.process import Server

__all__ = ["killing"]


def killing(server: Server, storage: ReadableStorage) -> Outage:
    """By kill -9; what it had taken is on its disk."""

    async def kill() -> None:
        server.kill()

    return Outage(storage, kill, server.start, reading(storage))
