"""Which shards nothing is taken over of: nobody could renew there for a while."""

import asyncio
import math

__all__ = ["Sparing"]


class Sparing:
    """What `pipeline/leases.py` does when all of Redis was away, for each shard. In seconds.

    A shard that comes back shows leases of living replicas as run out: they get a lease's time.
    """

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._until: dict[int, float] = {}

    def failed(self, shard: int) -> None:
        """We could not renew there, so others could not either."""
        self._until[shard] = math.inf

    def renewed(self, shard: int) -> None:
        """We could renew there."""
        if self._until.get(shard) == math.inf:
            self._until[shard] = _now() + self._lease

    def spares(self, shard: int) -> bool:
        """Whether others may still have to renew there."""
        return _now() < self._until.get(shard, 0.0)


def _now() -> float:
    return asyncio.get_running_loop().time()
