"""Reading lists with leases (`ports/stream.py`)."""

from collections.abc import Sequence

from vconflow.adapters.redis.depth import measure
from vconflow.adapters.redis.stream.leases import Leases
from vconflow.adapters.redis.stream.resuming import Resuming
from vconflow.adapters.redis.stream.watching import Watching
from vconflow.ports.stream import ListDepth

__all__ = ["RedisStream"]


class RedisStream(Watching, Resuming, Leases):
    """One replica's view of the lists."""

    async def depth(self, lists: Sequence[str]) -> dict[str, ListDepth]:
        """See `EntryStream.depth`."""
        return await measure(self._client, self._keys, lists)
