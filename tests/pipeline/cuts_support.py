"""Lanes: replicas of which each reaches Redis through a proxy that cuts at chosen commands."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from pipeline_support import Site, site
from redis.asyncio import Redis

from vconflow.adapters.redis.scripts import load_scripts
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.pipeline.fanout import StorageUnit
from vconflow.testing.redis_cuts import Command, Cut, RedisCuts
from vconflow.testing.tcp_proxy import Direction, tcp_proxy

LEASE = 0.4

RanT = TypeVar("RanT")

_SCRIPTS = {
    hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest().encode(): name
    for name, source in load_scripts().items()
}


def label(command: Command) -> str:
    """What a command does, in words: the script's name and for commits the action."""
    name = command[0].decode().upper()
    if name not in ("EVAL", "EVALSHA"):
        return (
            " ".join((name, *(part.decode() for part in command[1:2]))) if _nested(name) else name
        )
    digest = command[1]
    if name == "EVAL":
        digest = hashlib.sha1(digest, usedforsecurity=False).hexdigest().encode()
    script = _SCRIPTS.get(digest, "EVAL")
    return _commit_label(command) if script == "commit" else script


def _nested(name: str) -> bool:
    return name in ("CLIENT", "CONFIG", "XGROUP", "XINFO")


def _commit_label(command: Command) -> str:
    _, header = msgspec.msgpack.decode(command[3 + int(command[2])])
    actions, items = header[7], header[8]
    kinds = {
        f"{actions[action - 1][0]}{' document' if document else ''}"
        for document, action in zip(items[7::12], items[9::12], strict=True)
    }
    return f"commit {'/'.join(sorted(kinds))}"


def add_cut(cuts: RedisCuts, wanted: str, direction: Direction, at: float) -> Cut:
    """Cut once at the next command with a label."""
    return cuts.add(lambda command: label(command) == wanted, direction, at)


@dataclass
class Lane:
    """One replica with lists of its own. `client` sees Redis directly, past the proxy."""

    it: Site
    cuts: RedisCuts
    client: Redis
    number: int
    made: list[Cut] = field(default_factory=list)

    @property
    def list(self) -> str:
        return f"in{self.number}"

    def cut(self, wanted: str, direction: Direction, at: float) -> Cut:
        """Cut once at the next command with a label."""
        cut = add_cut(self.cuts, wanted, direction, at)
        self.made.append(cut)
        return cut

    @property
    def labels(self) -> Counter[str]:
        """What was sent so far."""
        return Counter(map(label, self.cuts.commands))

    async def submit(self, document: bytes) -> str:
        return (await self.it.ingest.accept(document, (self.list,))).uuid

    async def idle(self) -> None:
        """Wait until the lane's list is empty and its replica has nothing in hand.

        In this order: an entry that left the list was in hand before, and is until its commit is
        answered.
        """
        async with asyncio.timeout(20):
            while await self.client.xlen(list_key(self.list)) or self.it.replica.consumer.owned():
                await asyncio.sleep(0.002)


async def in_each(
    lanes: Sequence[Lane], run: Callable[[Lane], Coroutine[Any, Any, RanT]]
) -> list[RanT]:
    """Run it in all lanes at once; when it fails in one, it goes on in none."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(lane)) for lane in lanes]
    return [task.result() for task in tasks]


def unread(number: int) -> Chain:
    """A chain whose list fills: nobody here reads it."""
    return Chain("main", lists=(f"in{number}",), held="not read here")


def socket_of(url: str) -> str:
    """The path of the socket that a URL of the fixture `redis_url` names."""
    return url.removeprefix("unix://").partition("?")[0]


def list_key(name: str) -> str:
    return f"vconflow:list:{name}"


@asynccontextmanager
async def open_lane(
    url: str,
    chain_of: Callable[[int], Chain],
    number: int = 0,
    storages: Mapping[str, StorageUnit] | None = None,
    cuts: RedisCuts | None = None,
    **options: Any,
) -> AsyncIterator[Lane]:
    """A replica behind its own proxy; its chain reads `in<number>`."""
    cuts = cuts or RedisCuts()
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(tcp_proxy(socket_of(url), cuts.tap))
        # Links of tests use it too: there it must not look up its own version on disk, as it does
        # for each new connection unless it is told to tell the server nothing.
        client = await stack.enter_async_context(Redis.from_url(url, driver_info=None))
        it = await stack.enter_async_context(
            site(
                f"redis://127.0.0.1:{proxy.port}",
                chain_of(number),
                storages=storages,
                name=f"lane{number}",
                lease=LEASE,
                **options,
            )
        )
        yield Lane(it, cuts, client, number)


async def rows(client: Redis, key: str) -> list[dict[bytes, bytes]]:
    return [fields for _, fields in await client.xrange(key)]


async def counted(client: Redis, key: str) -> Counter[str]:
    """The uuids of a stream's entries."""
    return Counter(fields[b"uuid"].decode() for fields in await rows(client, key))


async def open_work(client: Redis, uuid: str) -> tuple[int, int]:
    """The counters `open` and `egress` of a vCon."""
    held = await client.hmget(f"vconflow:vcon:{uuid}", "open", "egress")  # type: ignore[misc]
    return int(held[0] or 0), int(held[1] or 0)


async def assert_no_traces(client: Redis, lists: list[str]) -> None:
    """Neither entries nor pending ones, run records or dead letters of the lists are left."""
    for name in lists:
        assert await client.keys(f"vconflow:run:{name}:*") == []
        assert await client.xlen(list_key(name)) == 0
        assert (await client.xpending(list_key(name), "vconflow"))["pending"] == 0
        assert await client.xlen(f"vconflow:dead:{name}") == 0


async def assert_delivered(
    client: Redis, uuids: list[str], lists: list[str], tags: list[str], out: str = "out"
) -> None:
    """Each vCon went through exactly once and left nothing but itself."""
    assert len(set(uuids)) == len(uuids)
    await assert_no_traces(client, lists)
    assert await counted(client, list_key(out)) == Counter(uuids)
    for uuid in uuids:
        assert await open_work(client, uuid) == (0, 1)
        assert Vcon(await client.get(f"vcon:{uuid}")).tags == tags


@asynccontextmanager
async def open_lanes(
    url: str,
    chain_of: Callable[[int], Chain],
    count: int,
    storages: Mapping[str, StorageUnit] | None = None,
) -> AsyncIterator[list[Lane]]:
    """So many lanes on one Redis, with the same storages."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(open_lane(url, chain_of, number, storages))
            for number in range(count)
        ]
