"""A Redis Cluster in trouble under load: nothing that was accepted is lost."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from cuts_support import add_cut, socket_of
from pipeline_support import Site, site, step, unit, until, vcon
from redis.crc import key_slot

from vconflow.adapters.redis.client import PATIENCE
from vconflow.adapters.redis.keys import GROUP
from vconflow.adapters.redis.shards.numbering import Numbering
from vconflow.errors import Retryable
from vconflow.model.identifiers import new_uuid
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.ports.link import CONTINUE, LinkRun, Outcome, Replace
from vconflow.testing.memory_storage import MemoryStorage
from vconflow.testing.redis_cuts import Cut, RedisCuts
from vconflow.testing.servers import RedisCluster, RedisServer, redis_cluster
from vconflow.testing.tcp_proxy import Direction, tcp_proxy

OFFSETS = 24
CALLS = ("accept", "commit defer document", "commit finish")
LEASE = 1.0
SEED = 20_251_129


async def slow(vcon: Vcon, run: LinkRun) -> Outcome:
    await asyncio.sleep(0.02)
    vcon.add_tag("slow", "x")
    return CONTINUE


def chain_of(*links: str) -> Chain:
    steps = tuple(step(name, slow if name == "slow" else None) for name in links)
    return Chain("main", steps, ("s",), ("in",), egress=("out",), concurrency=20)


async def uuids_of(it: Site, name: str) -> Counter[str]:
    """What the streams of a list hold, over all shards."""
    found: Counter[str] = Counter()
    for place in it.backend.places:
        rows = await place.connections.commands.xrange(place.keys.list(name))
        found.update(fields[fields.index(b"uuid") + 1].decode() for _, fields in rows)
    return found


async def assert_no_traces(it: Site, uuids: list[str]) -> None:
    """Nothing is pending, dead or half done; nobody counts anything but the entries at egress."""
    opened: Counter[str] = Counter()
    for place in it.backend.places:
        client, keys = place.connections.commands, place.keys
        assert await client.keys(keys.run("in", "*")) == []
        assert await client.xlen(keys.list("in")) == await client.xlen(keys.dead("in")) == 0
        assert (await client.execute_command("XPENDING", keys.list("in"), GROUP))[0] == 0
        for uuid in uuids:
            held = await client.execute_command("HMGET", keys.meta(uuid), "open", "egress")
            opened.update({f"{uuid} {state}": 1 for state in [held] if held != [None, None]})
    assert opened == Counter(f"{uuid} {[b'0', b'1']}" for uuid in uuids)


async def all_made(cuts: list[Cut]) -> None:
    """Redis may be through with everything while its last answer is on the way to its cut."""
    await until(lambda: all(cut.done for cut in cuts))


@asynccontextmanager
async def proxied(cluster: RedisCluster, cuts: RedisCuts) -> AsyncIterator[None]:
    """Have clients reach every node through a proxy of its own."""
    async with AsyncExitStack() as stack:
        proxies = [
            await stack.enter_async_context(tcp_proxy(socket_of(node.url), cuts.tap))
            for node in cluster.nodes
        ]
        await cluster.announce([proxy.port for proxy in proxies])
        yield


@pytest.mark.parametrize("direction", list(Direction))
async def test_connections_cut_anywhere(tmp_path: Path, direction: Direction) -> None:
    rng = random.Random(f"{SEED} {direction.value}")
    cuts, storages = RedisCuts(), {"s": unit("s", MemoryStorage())}
    made = []
    async with (
        redis_cluster(tmp_path) as cluster,
        proxied(cluster, cuts),
        site(cluster.url, chain_of("a"), storages=storages, lease=LEASE) as it,
    ):
        uuids = []
        for _ in range(OFFSETS):
            made += [add_cut(cuts, call, direction, rng.random()) for call in CALLS]
            uuids += await it.submit(vcon(subject="x" * 200))
            await it.settled()
        await all_made(made)
        assert await uuids_of(it, "out") == Counter(uuids)
        await assert_no_traces(it, uuids)
        documents = await it.backend.documents.fetch(uuids)
        stored = [it.memory["s"].vcons[uuid].document for uuid in uuids]
        assert [found.document for found in documents] == stored
        assert all(Vcon(document).tags == ["a:a"] for document in stored)


@pytest.mark.parametrize("direction", list(Direction))
async def test_the_step_to_a_vcon_of_another_shard_is_cut(
    valkey_url: str, direction: Direction
) -> None:
    """A link goes on with another vCon: that is handed on once, in its own shard."""
    rng = random.Random(f"{SEED} another {direction.value}")
    others: dict[str, str] = {}

    async def go_on(vcon: Vcon, run: LinkRun) -> Outcome:
        return Replace(others[vcon.uuid])

    cuts = RedisCuts()
    steps = (step("go_on", go_on), step("after"))
    chain = Chain("main", steps, lists=("in",), egress=("out",))
    async with (
        tcp_proxy(socket_of(valkey_url), cuts.tap) as proxy,
        site(f"redis://127.0.0.1:{proxy.port}", chain, shards=3, lease=LEASE) as it,
    ):
        numbering = Numbering(3)
        for _ in range(OFFSETS):
            first, other = new_uuid(), new_uuid()
            while numbering.of_uuid(first) == numbering.of_uuid(other):
                other = new_uuid()
            others[first] = other
            await it.ingest.save(vcon(other))
            calls = ("commit keep", "elsewhere", "commit finish")
            made = [add_cut(cuts, call, direction, rng.random()) for call in calls]
            await it.submit(vcon(first))
            await all_made(made)
            await it.settled()
        assert await uuids_of(it, "out") == Counter(others.values())
        found = await it.backend.documents.fetch([*others.values()])
        assert all(Vcon(item.document or b"").tags == ["after:after"] for item in found)
        assert await it.dead() == []


async def load(it: Site, accepted: list[str], stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            accepted.extend(await it.submit(vcon()))
        except Retryable:
            await asyncio.sleep(0.02)


@asynccontextmanager
async def under_load(it: Site) -> AsyncIterator[list[str]]:
    """The uuids that are accepted meanwhile."""
    accepted: list[str] = []
    stop = asyncio.Event()
    loads = [asyncio.create_task(load(it, accepted, stop)) for _ in range(4)]
    yield accepted
    stop.set()
    await asyncio.gather(*loads)


async def more_than(accepted: list[str], count: int) -> None:
    """Wait until more is accepted: all is well again."""
    async with asyncio.timeout(60):
        while len(accepted) <= count:
            await asyncio.sleep(0.02)


async def assert_delivered(it: Site, accepted: list[str]) -> None:
    """What was accepted went through, and what had no answer may have too; all of it once."""
    await it.settled()
    popped = Counter(await it.popped())
    assert max(popped.values()) == 1
    assert set(accepted) <= popped.keys() <= it.memory["s"].vcons.keys()
    assert await it.dead() == []
    assert all(Vcon(it.memory["s"].vcons[uuid].document).tags == ["slow:x"] for uuid in popped)


async def test_a_killed_node_comes_back_with_all_that_it_had(tmp_path: Path) -> None:
    """kill -9 of each master in turn, restart on its append-only file."""
    storages = {"s": unit("s", MemoryStorage())}
    async with (
        redis_cluster(tmp_path) as cluster,
        site(cluster.url, chain_of("slow"), storages=storages, lease=LEASE) as it,
    ):
        async with under_load(it) as accepted:
            for node in cluster.nodes:
                await more_than(accepted, len(accepted) + 40)
                node.kill()
                await asyncio.sleep(0.2)
                await node.start()
                await cluster.ready()
            await more_than(accepted, len(accepted) + 40)
        await assert_delivered(it, accepted)


async def test_a_silent_node_keeps_only_its_own_waiting(tmp_path: Path) -> None:
    """SIGSTOP for longer than anybody is patient, then SIGCONT."""
    storages = {"s": unit("s", MemoryStorage())}
    async with (
        redis_cluster(tmp_path, cluster_require_full_coverage="no") as cluster,
        site(cluster.url, chain_of("slow"), storages=storages, lease=LEASE) as it,
    ):
        stored = it.memory["s"].vcons
        async with under_load(it) as accepted:
            await more_than(accepted, 40)
            cluster.nodes[2].pause()
            begun = time.perf_counter()
            # All that was under way is refused, or had not to wait.
            await asyncio.sleep(PATIENCE)
            await more_than(accepted, len(accepted) + 10)
            first, begun = time.perf_counter() - begun, time.perf_counter()
            count = len(stored)
            await more_than(accepted, len(accepted) + 100)
            await until(lambda: len(stored) > count + 100)
            # One read or commit that was under way may have waited as long once more; without
            # the others being spared each of many would.
            assert time.perf_counter() - begun < 3 * first
            cluster.nodes[2].resume()
            await cluster.ready()
            await more_than(accepted, len(accepted) + 40)
        await assert_delivered(it, accepted)


async def test_a_slot_moves_to_another_node(tmp_path: Path) -> None:
    """Under load, and back: what comes meanwhile is refused or goes through."""
    storages = {"s": unit("s", MemoryStorage())}
    slot = key_slot(b"s3")
    async with (
        redis_cluster(tmp_path) as cluster,
        site(cluster.url, chain_of("slow"), storages=storages, lease=LEASE) as it,
    ):
        async with under_load(it) as accepted:
            for _ in range(2):
                await more_than(accepted, len(accepted) + 40)
                source = await cluster.holder_of(slot)
                target = next(node for node in cluster.nodes if node is not source)
                await cluster.move_slot(slot, source, target)
                assert await cluster.holder_of(slot) is target
            await more_than(accepted, len(accepted) + 40)
        await assert_delivered(it, accepted)


async def test_a_replica_takes_the_place_of_a_killed_master(tmp_path: Path) -> None:
    """With what was confirmed, and so with all that was accepted."""
    storages = {"s": unit("s", MemoryStorage())}
    async with (
        redis_cluster(tmp_path, replicas=1, min_replicas_to_write=1) as cluster,
        site(
            cluster.url, chain_of("slow"), storages=storages, lease=LEASE, durability="replicated"
        ) as it,
    ):
        async with under_load(it) as accepted:
            for shard in (0, 3):
                await more_than(accepted, len(accepted) + 40)
                slot = key_slot(f"s{shard}".encode())
                master = await cluster.holder_of(slot)
                master.kill()
                await replaced(cluster, slot, master)
                await master.start()
                await cluster.ready()
                await cluster.replicated()
            await more_than(accepted, len(accepted) + 40)
        await assert_delivered(it, accepted)


async def replaced(cluster: RedisCluster, slot: int, old: RedisServer) -> None:
    """Wait until another node is the master of a slot."""
    async with asyncio.timeout(60):
        while True:
            try:
                if await cluster.holder_of(slot) is not old:
                    return
            except LookupError:
                pass
            await asyncio.sleep(0.05)
