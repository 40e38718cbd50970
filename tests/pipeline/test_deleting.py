"""DELETE while something is under way: nothing comes back, and a new life is not disturbed."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from cuts_support import add_cut, open_work, socket_of
from pipeline_support import Site, site, step, unit, until, vcon
from stops_support import STAGES, Stop, StoppingStorage, copies, three_storages
from trouble_support import Gate, killed

from vconflow.errors import Permanent
from vconflow.model.entry import StoredVcon
from vconflow.model.identifiers import new_uuid
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.pipeline.fanout import StorageUnit
from vconflow.ports.documents import Search
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.testing.memory_storage import MemoryStorage
from vconflow.testing.redis_cuts import RedisCuts
from vconflow.testing.tcp_proxy import Direction, tcp_proxy

TEL = "+15550100"


async def assert_gone(it: Site, units: dict[str, StorageUnit], uuid: str) -> None:
    """No copy anywhere, no place in listing and index, no work left; only the tombstone."""
    client = it.backend.connections.commands
    assert await it.lookup.get(uuid) is None
    assert set((await copies(units, uuid)).values()) <= {None}
    assert await it.backend.documents.search(Search(tel=TEL)) == []
    assert await it.backend.documents.page(offset=0, limit=9, since=None, until=None) == []
    assert await client.execute_command("EXISTS", f"vcon:{uuid}") == 0
    assert await client.execute_command("KEYS", "vconflow:run:*") == []
    held = await client.execute_command("HGETALL", f"vconflow:vcon:{uuid}")
    assert set(held[::2]) == {b"deleted", b"rev"}
    assert await client.execute_command("PTTL", f"vconflow:vcon:{uuid}") > 0


def chain_for(stop: Stop, *storages: str) -> Chain:
    return Chain("main", (step("ours", stop.link),), storages, ("in",), egress=("out",))


@pytest.mark.parametrize("stage", ["unread", *STAGES])
async def test_at_every_stage_of_a_chain(
    redis_url: str, tmp_path: Path, postgres_dsn: str, stage: str
) -> None:
    stop = Stop(stage)
    async with (
        three_storages(stop, tmp_path, postgres_dsn) as units,
        site(redis_url, chain_for(stop, *units), storages=units, start=stage != "unread") as it,
    ):
        (uuid,) = await it.submit(vcon())
        await reached(it, stop)
        assert (await it.lookup.delete(uuid)).found
        if stage == "unread":
            await it.replica.start()
        stop.go.set()
        await it.settled()
        await assert_gone(it, units, uuid)
        assert (await it.popped(), await it.dead()) == ([], [])
        assert not (await it.lookup.delete(uuid)).found


@pytest.mark.parametrize("stage", ["unread", *STAGES])
async def test_a_new_life_begins_at_once(
    redis_url: str, tmp_path: Path, postgres_dsn: str, stage: str
) -> None:
    """The old chain ends after the new life began, and takes nothing from it."""
    stop = Stop(stage)
    async with (
        three_storages(stop, tmp_path, postgres_dsn) as units,
        site(redis_url, chain_for(stop, *units), storages=units, start=stage != "unread") as it,
    ):
        (uuid,) = await it.submit(vcon(subject="old"))
        await reached(it, stop)
        assert (await it.lookup.delete(uuid)).found
        await it.submit(vcon(uuid, subject="new"))
        if stage == "unread":
            await it.replica.start()
        stop.go.set()
        await it.settled()
        client = it.backend.connections.commands
        current = await it.lookup.get(uuid)
        assert (Vcon(current or b"").subject, Vcon(current or b"").tags) == ("new", ["ours:x"])
        assert set((await copies(units, uuid)).values()) == {current}
        # An entry that was waiting does not know whose life it was put on the list for.
        waited = stage == "unread" or "retry" in stage
        times = len(await it.popped())
        assert times in ((1, 2) if waited else (1,))
        assert await open_work(client, uuid) == (0, 0)
        assert await it.dead() == []
        assert (await it.backend.documents.search(Search(tel=TEL))) == [uuid]


async def reached(it: Site, stop: Stop) -> None:
    """Wait until the chain has stopped; a retry also until Redis knows of it."""
    if stop.stage == "unread":
        return
    await stop.reached.wait()
    while "retry" in stop.stage and not it.replica.consumer.waiting("main"):
        await asyncio.sleep(0.001)


async def test_as_a_dead_letter_and_on_egress(redis_url: str) -> None:
    healthy = False

    async def fail(vcon: Vcon, run: LinkRun) -> Outcome:
        if healthy:
            return CONTINUE
        raise Permanent("never")

    failing = Chain("failing", (step("f", fail),), ("s",), ("in",), egress=("out",))
    easy = Chain("easy", (step("a"),), ("s",), ("more",), egress=("out",))
    storages = {"s": unit("s", MemoryStorage())}
    async with site(redis_url, failing, easy, storages=storages) as it:
        uuid = (await it.ingest.accept(vcon(), ("in", "more"))).uuid
        await it.settled("in", "more")
        client = it.backend.connections.commands
        assert await open_work(client, uuid) == (1, 1)
        assert (await it.lookup.delete(uuid)).found
        (letter,) = await it.dead()
        healthy = True
        assert await it.backend.dead_letters.replay("in", [letter.id]) == 1
        await it.settled()
        # The egress list still names it; there is nothing to be had under that name.
        assert (await it.popped(), await it.dead()) == ([uuid], [])
        await assert_gone(it, storages, uuid)


@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("direction", list(Direction))
async def test_with_the_connection_cut(redis_url: str, direction: Direction, at: float) -> None:
    """At every call that a DELETE makes, and at what the chain does because of it."""
    for call in ("fetch", "delete", "commit ack"):
        stop, cuts = Stop("stored"), RedisCuts()
        storage = StoppingStorage(stop)
        units = {"s": unit("s", storage)}
        async with (
            tcp_proxy(socket_of(redis_url), cuts.tap) as proxy,
            site(f"redis://127.0.0.1:{proxy.port}", chain_for(stop, "s"), storages=units) as it,
        ):
            (uuid,) = await it.submit(vcon())
            await stop.reached.wait()
            cut = add_cut(cuts, call, direction, at)
            assert (await it.lookup.delete(uuid)).found
            stop.go.set()
            await it.settled()
            while it.replica.consumer.owned():
                await asyncio.sleep(0.005)
            assert cut.done
            await assert_gone(it, units, uuid)
            assert (await it.popped(), await it.dead()) == ([], [])


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("again", [False, True], ids=["deleted", "posted-again"])
async def test_with_the_replica_killed(redis_url: str, stage: str, again: bool) -> None:
    """The replica dies at a stage, the vCon is deleted, and another one takes over."""
    stop = Stop(stage)
    storage = StoppingStorage(stop)
    units = {"s": unit("s", storage)}
    async with AsyncExitStack() as stack:
        dying = await stack.enter_async_context(
            site(redis_url, chain_for(stop, "s"), storages=units, name="dying", lease=0.4, grace=0)
        )
        (uuid,) = await dying.submit(vcon())
        await reached(dying, stop)
        await killed(dying)
        heir = await stack.enter_async_context(
            site(redis_url, chain_for(stop, "s"), storages=units, name="heir", lease=0.4)
        )
        assert (await heir.lookup.delete(uuid)).found
        if again:
            await heir.submit(vcon(uuid, subject="new"))
        await heir.settled()
        if again:
            stored = storage.vcons[uuid].document
            assert stored == await heir.lookup.get(uuid)
            assert (Vcon(stored).subject, set(await heir.popped())) == ("new", {uuid})
            assert await open_work(heir.backend.connections.commands, uuid) == (0, 0)
        else:
            await assert_gone(heir, units, uuid)
            assert await heir.popped() == []
        assert await heir.dead() == []


class Undeletable(MemoryStorage):
    """Keeps what it has, until the test unlocks it."""

    locked = True

    async def delete(self, uuid: str) -> bool:
        if self.locked:
            raise Permanent("object lock")
        return await super().delete(uuid)


@pytest.mark.parametrize("from_start", [False, True], ids=["where-it-failed", "from-start"])
async def test_a_replay_after_the_tombstone_only_removes_the_copies(
    redis_url: str, from_start: bool
) -> None:
    """A copy could not be removed, and by the replay nothing tells any more that it was deleted."""
    gate, storage = Gate(), Undeletable()
    gate.open.set()
    chain = Chain("main", (step("gate", gate),), ("s",), ("in",), egress=("out",))
    async with site(redis_url, chain, storages={"s": unit("s", storage)}) as it:
        uuid = await deleted_in_the_chain(it, gate, vcon())
        (letter,) = await it.dead()
        assert (letter.uuid, letter.error) == (uuid, "s: object lock")
        await it.backend.connections.commands.execute_command("DEL", f"vconflow:vcon:{uuid}")
        storage.locked = False
        await it.backend.dead_letters.replay("in", [letter.id], from_start=from_start)
        await it.settled()
        assert (storage.vcons, await it.lookup.get(uuid)) == ({}, None)
        assert (await it.popped(), await it.dead()) == ([], [])


async def deleted_in_the_chain(it: Site, gate: Gate, document: bytes) -> str:
    """Have a stored vCon go through the chain once more, and delete it there."""
    (uuid,) = await it.submit(document)
    await it.settled()
    assert await it.popped() == [uuid]
    gate.open.clear()
    await it.submit(document)
    await until(lambda: gate.held == 2)
    assert (await it.lookup.delete(uuid)).failed
    gate.open.set()
    await it.settled()
    return uuid


@pytest.mark.parametrize("in_redis", [True, False])
async def test_a_repeat_removes_what_a_storage_that_was_down_still_has(
    redis_url: str, in_redis: bool
) -> None:
    here, away = MemoryStorage(), MemoryStorage()
    units = {"away": unit("away", away), "here": unit("here", here)}
    chain = Chain("main", (), tuple(units), ("in",))
    async with site(redis_url, chain, storages=units) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled()
        if not in_redis:
            await it.backend.connections.commands.execute_command("DEL", f"vcon:{uuid}")
        away.fail_with = ConnectionError("no route to host")
        for _ in range(2):
            deletion = await it.lookup.delete(uuid)
            assert list(deletion.failed) == ["away"]
            assert (uuid in away.vcons, uuid in here.vcons) == (True, False)
            # Deleted it is all the same: nobody is given what one storage still has.
            assert await it.lookup.get(uuid) is None
        away.fail_with = None
        deletion = await it.lookup.delete(uuid)
        assert (deletion.found, deletion.failed) == (True, {})
        await assert_gone(it, units, uuid)
        assert not (await it.lookup.delete(uuid)).found


@pytest.mark.parametrize("is_in_redis", [True, False])
async def test_what_would_not_be_accepted_is_deleted_all_the_same(
    valkey_url: str, *, is_in_redis: bool
) -> None:
    uuid, storage = new_uuid(), MemoryStorage()
    document = vcon(uuid, created_at="yesterday")
    chain = Chain("main", (), ("s",), ("in",))
    async with site(valkey_url, chain, storages={"s": unit("s", storage)}) as it:
        if is_in_redis:
            await it.backend.connections.commands.execute_command("SET", f"vcon:{uuid}", document)
        storage.vcons[uuid] = StoredVcon(uuid, 1, document, 0.0)
        assert await it.lookup.get(uuid) == document
        assert (await it.lookup.delete(uuid)).found
        assert await it.lookup.get(uuid) is None
        assert storage.vcons == {}
