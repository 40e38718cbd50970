"""One shard is silent: nobody waits for it again and again, and the others go on."""

import asyncio
import time
from collections import Counter
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from redis.crc import key_slot

from vconflow.adapters.redis.backend import RedisOptions, open_backend
from vconflow.adapters.redis.shards.intake import ShardedIntake
from vconflow.adapters.redis.shards.numbering import Numbering
from vconflow.adapters.redis.shards.standing import Standing
from vconflow.adapters.redis.shards.stream import ShardedStream
from vconflow.errors import Unavailable
from vconflow.model.entry import Entry
from vconflow.model.identifiers import new_uuid
from vconflow.ports.intake import Acceptance, Receipt
from vconflow.ports.ledger import Progress
from vconflow.ports.stream import Displaced, ReadRequest, Resumed
from vconflow.testing.contracts.backend import acceptance, vcon
from vconflow.testing.servers import redis_cluster

SHARDS = 3
NUMBERING = Numbering(SHARDS)
LONG = 0.05
LEASE = 0.3


class Server:
    """What a shard does with a command, and how often it was asked."""

    def __init__(self) -> None:
        self.outcome: Any = None
        self.delay = 0.0
        self.asked = 0
        self.probed = 0

    def silent(self) -> None:
        self.outcome, self.delay = Unavailable("silent"), 2 * LONG

    def answers(self, outcome: Any = None) -> None:
        self.outcome, self.delay = outcome, 0.0

    async def command(self, *_: object) -> Any:
        self.asked += 1
        return await self._answer()

    async def probe(self) -> None:
        self.probed += 1
        await self._answer()

    async def _answer(self) -> Any:
        outcome = self.outcome
        await asyncio.sleep(self.delay)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
def servers() -> list[Server]:
    return [Server() for _ in range(SHARDS)]


def standing_of(servers: list[Server]) -> Standing:
    return Standing([server.probe for server in servers], long=LONG)


async def until_it_answers(standing: Standing, shard: int) -> None:
    async with asyncio.timeout(20):
        while standing.is_silent(shard):
            await asyncio.sleep(0.01)


async def test_a_silent_shard_is_not_asked_until_a_probe_is_answered(servers: list[Server]) -> None:
    standing, (one, *_) = standing_of(servers), servers
    one.silent()
    for _ in range(5):
        with pytest.raises(Unavailable):
            await standing.ask(0, one.command)
    assert one.asked == 1
    assert await standing.ask(1, servers[1].command) is None
    async with asyncio.timeout(20):
        while one.probed < 2:
            await asyncio.sleep(0.01)
    assert standing.is_silent(0)
    one.answers("done")
    await until_it_answers(standing, 0)
    assert await standing.ask(0, one.command) == "done"
    await standing.close()


async def test_a_refusal_that_comes_quickly_is_an_answer(servers: list[Server]) -> None:
    standing, (one, *_) = standing_of(servers), servers
    one.answers(Unavailable("full"))
    for _ in range(3):
        with pytest.raises(Unavailable, match="full"):
            await standing.ask(0, one.command)
    assert (one.asked, one.probed) == (3, 0)
    one.silent()
    with pytest.raises(Unavailable):
        await standing.ask(0, one.command)
    one.answers(Unavailable("full"))
    await until_it_answers(standing, 0)
    with pytest.raises(Unavailable, match="full"):
        await standing.ask(0, one.command)


async def test_it_is_told_when_no_shard_answers(servers: list[Server]) -> None:
    standing = standing_of(servers)
    for number, server in enumerate(servers):
        standing.check()
        server.silent()
        with pytest.raises(Unavailable):
            await standing.ask(number, server.command)
    with pytest.raises(Unavailable, match="no shard answers"):
        standing.check()
    # A probe that is under way ends with those who use it.
    await standing.close()
    assert not any(standing.is_silent(number) for number in range(SHARDS))


async def test_only_the_first_batch_waits_for_it(servers: list[Server]) -> None:
    async def accept(server: Server, items: list[Acceptance]) -> list[Receipt]:
        await server.command()
        return [Receipt(1)] * len(items)

    def shard(server: Server) -> Any:
        return SimpleNamespace(intake=SimpleNamespace(accept=partial(accept, server)))

    standing = standing_of(servers)
    intake = ShardedIntake([shard(server) for server in servers], NUMBERING, standing)
    servers[2].silent()
    batch = [acceptance(vcon(new_uuid()), "in") for _ in range(30)]
    refused = [NUMBERING.of_uuid(item.facts.uuid) == 2 for item in batch]
    for _ in range(5):
        outcomes = await intake.accept(batch)
        assert [isinstance(outcome, Unavailable) for outcome in outcomes] == refused
    assert [server.asked for server in servers] == [5, 5, 1]
    await standing.close()


# Leases


def stream_of(servers: list[Server]) -> tuple[ShardedStream, Standing]:
    standing = standing_of(servers)
    shards: list[Any] = [
        SimpleNamespace(stream=SimpleNamespace(renew=it.command, take_over=it.command))
        for it in servers
    ]
    return ShardedStream(shards, NUMBERING, standing, lease=LEASE), standing


def resumed(name: str) -> Resumed:
    return Resumed(Entry(name, "in", new_uuid(), 1), Progress())


async def test_what_the_others_tell_of_leases_counts(servers: list[Server]) -> None:
    stream, _ = stream_of(servers)
    for number, server in enumerate(servers):
        server.answers([("in", f"5-{number}")])
    servers[1].answers(Unavailable("away"))
    lost = await stream.renew({})
    assert lost == [("in", NUMBERING.whole(shard, f"5-{shard}")) for shard in (0, 2)]
    servers[2].answers(Displaced())
    with pytest.raises(Displaced):
        await stream.renew({})
    for server in servers:
        server.answers(Unavailable("away"))
    with pytest.raises(Unavailable):
        await stream.renew({})


async def test_what_was_claimed_is_never_thrown_away(servers: list[Server]) -> None:
    stream, _ = stream_of(servers)
    for away in range(SHARDS):
        for number, server in enumerate(servers):
            server.answers(Unavailable("away") if number == away else [resumed("5-1")])
        found = await stream.take_over("in", 10)
        shards = {NUMBERING.inner(item.entry.id)[0] for item in found}
        assert shards == set(range(SHARDS)) - {away}
    for number, server in enumerate(servers):
        server.answers([] if number else Unavailable("away"))
    with pytest.raises(Unavailable):
        await stream.take_over("in", 10)


async def test_a_shard_that_is_back_is_spared_for_a_lease(servers: list[Server]) -> None:
    """Nobody could renew there: what has run out may well be that of living replicas."""
    stream, _ = stream_of(servers)
    for server in servers:
        server.answers([])
    servers[1].answers(Unavailable("away"))
    await stream.renew({})
    assert await stream.take_over("in", 10) == []
    servers[1].answers([])
    await stream.renew({})
    servers[1].answers([resumed("5-1")])
    asked = servers[1].asked
    assert await stream.take_over("in", 10) == []
    assert servers[1].asked == asked
    await asyncio.sleep(LEASE)
    assert len(await stream.take_over("in", 10)) == 1


# A real one


async def test_the_vcons_of_the_others_are_accepted_and_read_meanwhile(tmp_path: Path) -> None:
    async with (
        redis_cluster(tmp_path, cluster_require_full_coverage="no") as cluster,
        open_backend(cluster.url, RedisOptions(shards=4)) as backend,
    ):
        await backend.stream.ensure(["in"])
        away = await cluster.holder_of(key_slot(b"s3"))
        silent = {
            shard
            for shard in range(4)
            if await cluster.holder_of(key_slot(f"s{shard}".encode())) is away
        }
        assert len(silent) < 4
        away.pause()
        kept: list[str] = []
        refused: list[Acceptance] = []
        seconds: list[float] = []
        for _ in range(50):
            items = [acceptance(vcon(), "in") for _ in range(12)]
            started = time.perf_counter()
            outcomes = await backend.intake.accept(items)
            seconds.append(time.perf_counter() - started)
            for item, outcome in zip(items, outcomes, strict=True):
                is_silent = Numbering(4).of_uuid(item.facts.uuid) in silent
                assert type(outcome) is (Unavailable if is_silent else Receipt)
                if is_silent:
                    refused.append(item)
                else:
                    kept.append(item.facts.uuid)
        # The first has waited for it.
        assert sum(seconds[1:]) < seconds[0] / 2
        seen: list[str] = []
        started = time.perf_counter()
        async with asyncio.timeout(60):
            while len(seen) < len(kept):
                entries = await backend.stream.read([ReadRequest(("in",), 64)], 64, 0.0)
                seen += [entry.uuid for entry in entries]
        assert time.perf_counter() - started < seconds[0] / 2
        assert Counter(seen) == Counter(kept)
        assert await backend.stream.renew({}) == []
        away.resume()
        async with asyncio.timeout(60):
            while refused:
                outcomes = await backend.intake.accept(refused)
                done = [isinstance(outcome, Receipt) for outcome in outcomes]
                kept += [it.facts.uuid for it, ok in zip(refused, done, strict=True) if ok]
                refused = [it for it, ok in zip(refused, done, strict=True) if not ok]
                await asyncio.sleep(0.05)
            while len(seen) < len(kept):
                entries = await backend.stream.read([ReadRequest(("in",), 64)], 64, 1.0)
                seen += [entry.uuid for entry in entries]
        assert Counter(seen) == Counter(kept)
        assert await backend.stream.read([ReadRequest(("in",), 64)], 64, 0.0) == []
