"""Reaching the nodes of a cluster, and refusing those that do not fit."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import ConnectionPool
from redis.crc import key_slot
from redis.exceptions import ConnectionError as UnreachableError

from vconflow.adapters.redis.backend import RedisOptions, open_backend
from vconflow.adapters.redis.cluster_map import ClusterMap
from vconflow.errors import ConfigError, Unavailable
from vconflow.ports.history import HistoryRecord
from vconflow.ports.intake import Receipt
from vconflow.ports.ledger import Finish, Verdict
from vconflow.ports.stream import ReadRequest
from vconflow.redis_url import ClusterUrl
from vconflow.testing.contracts.backend import (
    accept,
    acceptance,
    commit,
    commit_of,
    fill,
    read,
    vcon,
)
from vconflow.testing.servers import RedisCluster, free_port, redis_cluster, valkey


async def refusal(url: str, options: RedisOptions | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        async with open_backend(url, options or RedisOptions()):
            pass
    return str(caught.value)


async def test_there_are_sixteen_shards_unless_something_else_is_set(cluster_url: str) -> None:
    async with open_backend(cluster_url, RedisOptions()) as backend:
        assert [place.keys.tag for place in backend.places] == [f"{{s{it}}}" for it in range(16)]
        ports = {
            (await place.connections.commands.execute_command("CONFIG", "GET", "port"))[1]
            for place in backend.places
        }
        assert len(ports) == 3
    assert "VCONFLOW_SHARDS: is 3, but the data of this Redis has 16" in await refusal(
        cluster_url, RedisOptions(shards=3)
    )


async def test_one_shard_is_on_one_node(cluster_url: str) -> None:
    async with open_backend(cluster_url, RedisOptions(shards=1)) as backend:
        (uuid,) = await fill(backend, "in", 1)
        (entry,) = await read(backend, "in")
        (found,) = await backend.documents.fetch([uuid])
        result = await commit(backend, commit_of(entry, found, then=Finish()))
        assert result.verdict is Verdict.DONE


async def test_events_of_all_shards_are_heard(cluster_url: str) -> None:
    heard: list[HistoryRecord] = []
    begun = asyncio.Event()
    async with open_backend(cluster_url, RedisOptions(shards=4)) as backend:
        listening = asyncio.create_task(backend.event_source.listen(heard.append, begun.set))
        async with asyncio.timeout(30):
            await begun.wait()
            uuids = await fill(backend, "in", 20)
            while len(heard) < 20:
                await asyncio.sleep(0.01)
        assert Counter(record.uuid for record in heard) == Counter(uuids)
        assert {record.kind for record in heard} == {"accepted"}
        listening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listening


async def test_any_node_that_answers_knows_the_others(cluster_url: str) -> None:
    places = cluster_url.removeprefix("redis+cluster://").split(",")
    url = f"redis+cluster://127.0.0.1:{free_port()},{places[2]}"
    async with open_backend(url, RedisOptions(shards=4)) as backend:
        await accept(backend, vcon(), "in")


async def test_an_address_of_the_wrong_kind_is_told(cluster_server: RedisCluster) -> None:
    node = f"redis://127.0.0.1:{cluster_server.nodes[0].port}"
    assert "write redis+cluster://" in await refusal(node)


async def test_a_server_that_is_no_node_is_refused(tmp_path: Path) -> None:
    async with valkey(tmp_path, port=(port := free_port())):
        text = await refusal(f"redis+cluster://:hidden@127.0.0.1:{port}")
    assert "REDIS_URL" in text
    assert "hidden" not in text


async def test_a_wrong_password_is_told_and_never_shown(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path) as cluster:
        for node in cluster.nodes:
            await cluster.command(node, "CONFIG", "SET", "requirepass", "right")
        for user in ("", ":wrong@"):
            text = await refusal(cluster.url.replace("//", f"//{user}"))
            assert "refuses" in text
            assert "wrong@" not in text
        url = cluster.url.replace("//", "//:right@")
        async with open_backend(url, RedisOptions(shards=4)) as backend:
            assert await backend.ping() >= 0


async def test_every_node_has_to_fit(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path) as cluster:
        holder = await cluster.holder_of(key_slot(b"s3"))
        await cluster.command(holder, "CONFIG", "SET", "appendfsync", "everysec")
        text = await refusal(cluster.url, RedisOptions(shards=4, durability="fsync"))
        assert "appendfsync always" in text
        await cluster.command(holder, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        assert "maxmemory-policy" in await refusal(cluster.url, RedisOptions(shards=4))


async def test_one_master_is_away_and_the_others_go_on(tmp_path: Path) -> None:
    """Without `cluster-require-full-coverage` an outage is that of some shards."""
    options = RedisOptions(shards=4)
    async with (
        redis_cluster(tmp_path, cluster_require_full_coverage="no") as cluster,
        open_backend(cluster.url, options) as backend,
    ):
        await fill(backend, "in", 1)
        assert len(await read(backend, "in")) == 1
        away = await cluster.holder_of(key_slot(b"s3"))
        away.kill()
        items = [acceptance(vcon(), "in") for _ in range(40)]
        outcomes = await backend.intake.accept(items)
        kept = [it for it, found in zip(items, outcomes, strict=True) if isinstance(found, Receipt)]
        refused = [found for found in outcomes if not isinstance(found, Receipt)]
        assert {type(found) for found in refused} == {Unavailable}
        assert len(kept) > 10
        with pytest.raises(Unavailable):
            await backend.ping()
        seen: list[str] = []
        async with asyncio.timeout(60):
            while len(seen) < len(kept):
                entries = await backend.stream.read([ReadRequest(("in",), 9)], 9, 0.0)
                seen += [entry.uuid for entry in entries]
        assert Counter(seen) == Counter(item.facts.uuid for item in kept)
        with pytest.raises(Unavailable):
            await backend.stream.read([ReadRequest(("in",), 9)], 9, 0.0)
        await away.start()
        await cluster.ready()
        again = [it for it in items if it not in kept]
        outcomes = await backend.intake.accept(again)
        assert all(isinstance(found, Receipt) for found in outcomes)


class Behind(ClusterMap):
    """One of its nodes is cut off from the others, and names the masters of before."""

    views: dict[int, tuple[int, list[tuple[int, int, tuple[str, int]]]]]

    async def _ask(self, address: tuple[str, int]) -> Any:
        if address[1] not in self.views:
            raise UnreachableError
        return self.views[address[1]]


async def test_who_knows_less_than_we_do_is_not_followed() -> None:
    one, two, new = ("h", 1), ("h", 2), ("h", 3)
    before, after = (5, [(0, 16383, one)]), (6, [(0, 16383, new)])
    nodes = Behind(ClusterUrl(nodes=(one, two)))
    nodes.views = {1: before, 2: before}
    assert await nodes.master_of(7) == one
    nodes.views = {1: before, 2: after}
    nodes.doubt()
    assert await nodes.master_of(7) == new
    # Without a reason nobody is asked.
    nodes.views = {1: before}
    assert await nodes.master_of(7) == new
    # Whoever is left is better than nobody.
    nodes.doubt()
    assert await nodes.master_of(7) == one
    nodes.views = {}
    nodes.doubt()
    with pytest.raises(UnreachableError):
        await nodes.master_of(7)


async def test_a_slot_that_nobody_has_is_an_outage() -> None:
    nodes = Behind(ClusterUrl(nodes=(("h", 1),)))
    nodes.views = {1: (1, [(0, 5, ("h", 1))])}
    with pytest.raises(UnreachableError, match="no node has the slot 7"):
        await nodes.master_of(7)


async def test_connections_to_a_former_master_are_left_whoever_noticed_it() -> None:
    one, two = ("h", 1), ("h", 2)
    nodes = Behind(ClusterUrl(nodes=(one,)))
    nodes.views = {1: (1, [(0, 5, one), (6, 9, one)])}
    pools = [ConnectionPool() for _ in range(3)]
    nodes.pools += [(3, pools[0]), (3, pools[1]), (7, pools[2])]
    assert [await nodes.master_of(slot) for slot in (3, 7)] == [one, one]
    assert await nodes.moved() == []
    nodes.views = {1: (2, [(0, 5, two), (6, 9, one)])}
    # A new connection finds out by itself, and is told so; the older ones are not.
    nodes.doubt()
    assert await nodes.master_of(3) == two
    assert await nodes.moved() == pools[:2]
    assert await nodes.moved() == []
    # And back, noticed by nobody.
    nodes.views = {1: (3, [(0, 5, one), (6, 9, one)])}
    assert await nodes.moved() == pools[:2]
