"""Guessing keys: an address that has sent many wrong ones is not listened to for a while."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

from vconflow.api.rate_limits import Buckets
from vconflow.ports.access import RateLimit

__all__ = ["FailedLogins"]

_MOST = 10_000


class FailedLogins:
    """Counts wrong keys by address and remembers which keys were right from where.

    A key that was right from an address before stays right there, whatever else comes from it: a
    guesser cannot shut out those with whom it shares a proxy. `per_minute` 0 allows any number.
    """

    def __init__(
        self, per_minute: int, monotonic: Callable[[], float] = time.monotonic, most: int = _MOST
    ) -> None:
        self._rate = RateLimit(per_minute / 60, per_minute) if per_minute else None
        self._failed = Buckets(most, monotonic)
        self._most = most
        self._any_failed = False
        self._proven: OrderedDict[tuple[str, str], None] = OrderedDict()

    def wait_of(self, address: str) -> float:
        """Seconds for which new keys from an address are not looked at; mostly 0."""
        if not self._any_failed or self._rate is None:
            return 0.0
        verdict = self._failed.look(_network(address), self._rate)
        return 0.0 if verdict.allowed else verdict.retry_after

    def is_proven(self, address: str, name: str) -> bool:
        """Whether this key was right from there before."""
        return (address, name) in self._proven

    def succeeded(self, address: str, name: str) -> None:
        """Note a right key."""
        if self._rate is None or (address, name) in self._proven:
            return
        self._proven[address, name] = None
        if len(self._proven) > self._most:
            self._proven.popitem(last=False)

    def failed(self, address: str) -> None:
        """Note a wrong key."""
        if self._rate is not None:
            self._any_failed = True
            self._failed.take(_network(address), self._rate)


@lru_cache(maxsize=1024)
def _network(address: str) -> str:
    """An IPv6 client owns at least a /64: it is one client, whatever address in it it takes."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.IPv6Network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
