"""Taking away the server of a storage, for `StorageFaultsContract`."""

from vconflow.ports.storage import Storage
from vconflow.testing.contracts import Holds, Outage
from vconflow.testing.servers.process import Server

__all__ = ["killing"]


def killing(server: Server, storage: Storage, holds: Holds) -> Outage:
    """By kill -9; what it had taken is on its disk."""

    async def kill() -> None:
        server.kill()

    return Outage(storage, kill, server.start, holds)
