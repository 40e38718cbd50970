"""Which node of a Redis Cluster is the master of which slot."""

import asyncio
from collections.abc import Mapping
from typing import Any, Self

from redis import exceptions as driver
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo

from vconflow import __version__
from vconflow.redis_url import ClusterUrl

__all__ = ["ClusterMap"]

_ANSWER_SECONDS = 1.0
"""One node that is silent must not use up the time of the others."""

Address = tuple[str, int]
Ranges = list[tuple[int, int, Address]]


class ClusterMap:
    """Asks all nodes that it knows, those of the address at first.

    `pools` are the connections to the masters of slots, by slot; of a slot there may be several.
    """

    def __init__(self, url: ClusterUrl) -> None:
        self._url = url
        self._clients: dict[Address, Redis] = {}
        self._known: list[Address] = list(url.nodes)
        self._ranges: Ranges = []
        self._told: dict[int, set[Address]] = {}
        self._is_doubtful = True
        self._looking = asyncio.Lock()
        self.pools: list[tuple[int, ConnectionPool]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients.values():
            await client.aclose()

    def doubt(self) -> None:
        """A node was not what it should be: ask before the next connection."""
        self._is_doubtful = True

    async def master_of(self, slot: int) -> Address:
        """Where the master of a slot is. Raises the driver's errors."""
        async with self._looking:
            # Of many that have come because of the same outage one asks.
            if self._is_doubtful:
                await self._look()
        if (address := self._find(slot)) is None:
            self.doubt()
            raise driver.ConnectionError(f"no node has the slot {slot}")
        self._told.setdefault(slot, set()).add(address)
        return address

    async def moved(self) -> list[ConnectionPool]:
        """Ask anew; the pools that may have connections to a former master of their slot.

        Raises the driver's errors.
        """
        async with self._looking:
            await self._look()
        left: set[int] = set()
        for slot, told in self._told.items():
            address = self._find(slot)
            if address is not None and told != {address}:
                self._told[slot] = {address}
                left.add(slot)
        return [pool for slot, pool in self.pools if slot in left]

    async def _look(self) -> None:
        _, self._ranges = await self._newest()
        self._is_doubtful = False
        # Also the masters that the address does not name.
        masters = [address for _, _, address in self._ranges]
        self._known = list(dict.fromkeys((*masters, *self._url.nodes)))

    def _find(self, slot: int) -> Address | None:
        ranges = self._ranges
        return next((address for first, last, address in ranges if first <= slot <= last), None)

    async def _newest(self) -> tuple[int, Ranges]:
        """What the node says that has heard of the latest failover. Raises the driver's errors."""
        # One that is cut off from the others names the masters of before, and may be the first.
        asked = [self._ask(address) for address in self._known]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        answers = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        if answers:
            return max(answers, key=lambda answer: answer[0])
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        # A refusal says more than that somebody else is away.
        raise next((it for it in failures if isinstance(it, driver.ResponseError)), failures[0])

    async def _ask(self, address: Address) -> tuple[int, Ranges]:
        async with self._client(address).pipeline(transaction=False) as pipe:
            pipe.execute_command("CLUSTER", "INFO")
            pipe.execute_command("CLUSTER", "SLOTS")
            info, slots = await pipe.execute()
        return _epoch(info), _ranges(slots, address)

    def _client(self, address: Address) -> Redis:
        if address not in self._clients:
            client = Redis(
                host=address[0],
                port=address[1],
                username=self._url.username,
                password=self._url.password,
                ssl=self._url.tls,
                protocol=2,
                driver_info=DriverInfo(name="vconflow", lib_version=__version__),
                retry=Retry(NoBackoff(), 0),
                socket_timeout=_ANSWER_SECONDS,
                socket_connect_timeout=_ANSWER_SECONDS,
            )
            # The driver's parsers differ between versions; we read plain replies.
            client.response_callbacks.clear()
            self._clients[address] = client
        return self._clients[address]


def _epoch(info: bytes) -> int:
    pairs = (line.partition(":") for line in info.decode().splitlines())
    held: Mapping[str, str] = {name: value for name, _, value in pairs}
    return int(held.get("cluster_current_epoch", 0))


def _ranges(slots: list[Any], asked: Address) -> Ranges:
    """A node that does not know its own address leaves it out."""
    found: Ranges = []
    for first, last, master, *_ in slots:
        host = (master[0] or b"").decode()
        address = (asked[0] if host in ("", "?") else host, int(master[1]))
        found.append((int(first), int(last), address))
    return found
