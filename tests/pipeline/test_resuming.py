"""Going on with work that was begun: by another replica, after a restart, or from a dead letter."""

import asyncio
from collections import Counter

from pipeline_support import FAST, Site, site, step, tagging, unit, until, vcon

from vconflow.errors import Permanent, Retryable
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.pipeline.retry import RetryPolicy
from vconflow.ports.link import CONTINUE, Halt, LinkRun, Outcome, Replace, Route
from vconflow.ports.stream import ReadRequest
from vconflow.telemetry import metrics
from vconflow.testing.memory_storage import MemoryStorage

SLOW = RetryPolicy(attempts=3, base=1e6, max=1e6)


async def read_all(it: Site, count: int) -> None:
    """Own entries as a process does that is killed before it could begin with them."""
    await it.backend.stream.ensure(["in"])
    await it.backend.stream.read([ReadRequest(("in",), count)], count, 0.1)
    it.replica.stopping = True


async def test_handing_over_during_a_slow_storage_does_not_run_links_on_their_own_work(
    valkey_url: str,
) -> None:
    calls: list[int] = []

    async def attach(vcon: Vcon, run: LinkRun) -> Outcome:
        calls.append(1)
        vcon.add_attachment(purpose="note", body="x", encoding="none")
        return CONTINUE

    slow, storage = MemoryStorage(), MemoryStorage()
    slow.delay = 30
    chain = Chain("main", (step("attach", attach),), ("s",), ("in",), egress=("out",))
    async with site(valkey_url, chain, storages={"s": unit("s", slow)}, grace=0.05) as it:
        (uuid,) = await it.submit(vcon())
        await until(lambda: slow.batches)
    async with site(valkey_url, chain, storages={"s": unit("s", storage)}) as it:
        await it.settled()
        assert await it.popped() == [uuid]
        assert (len(calls), len(Vcon(storage.vcons[uuid].document).attachments)) == (1, 1)


async def test_clean_restarts_are_no_crashes(valkey_url: str) -> None:
    hang = asyncio.Event()

    async def wait(vcon: Vcon, run: LinkRun) -> Outcome:
        await hang.wait()
        return CONTINUE

    chain = Chain("main", (step("wait", wait),), lists=("in",), egress=("out",))
    uuids: list[str] = []
    for _ in range(5):
        async with site(valkey_url, chain, grace=0.0) as it:
            uuids = uuids or await it.submit(vcon())
            await until(lambda: it.replica.consumer.inflight("main"))
    hang.set()
    async with site(valkey_url, chain) as it:
        await it.settled()
        assert (await it.popped(), await it.dead()) == (uuids, [])


async def test_entries_of_a_dead_replica_do_not_wait_behind_the_backlog(valkey_url: str) -> None:
    order: list[str] = []

    async def slow(vcon: Vcon, run: LinkRun) -> Outcome:
        await asyncio.sleep(0.1)
        order.append(vcon.uuid)
        return CONTINUE

    chain = Chain("main", (step("slow", slow),), lists=("in",), concurrency=2)
    async with site(valkey_url, chain, name="dead", start=False) as dead:
        (left,) = await dead.submit(vcon())
        await read_all(dead, 1)
    async with site(valkey_url, chain, name="heir", lease=0.3) as it:
        await it.submit(*(vcon() for _ in range(60)))
        await until(lambda: left in order)
        assert len(order) < 40
        await it.settled()


async def test_a_replacement_that_cannot_be_had_is_tried_again(valkey_url: str) -> None:
    other = vcon(subject="the other one")
    storage = MemoryStorage()

    async def replace(vcon: Vcon, run: LinkRun) -> Outcome:
        return Replace(Vcon(other).uuid)

    async def fail(vcon: Vcon, run: LinkRun) -> Outcome:
        return Replace(Vcon(globals()["vcon"]()).uuid)

    chain = Chain("main", (step("a"), step("r", replace)), ("s",), ("in",), egress=("out",))
    lost = Chain("lost", (step("a"), step("f", fail)), ("s",), ("nowhere",), egress=("out",))
    async with site(valkey_url, chain, lost, storages={"s": unit("s", storage)}) as it:
        await it.submit(other)
        await until(lambda: storage.vcons)
        await it.settled()
        kept = storage.vcons[Vcon(other).uuid]
        await it.backend.connections.commands.execute_command("DEL", f"vcon:{kept.uuid}")
        storage.fail_with = Retryable("away")
        (uuid,) = await it.submit(vcon())
        await asyncio.sleep(0.005)
        storage.fail_with = None
        (gone,) = await it.submit(vcon(), to="nowhere")
        await it.settled("in", "nowhere")
        assert storage.vcons[kept.uuid].document == kept.document
        letters = [letter.error for letter in await it.dead("nowhere")]
        assert letters == ["document missing"]
        assert Vcon(await it.lookup.get(gone) or b"").tags == ["a:a"]
        assert set(await it.popped()) <= {kept.uuid}
        assert Vcon(await it.lookup.get(uuid) or b"").tags == ["a:a"]


async def test_a_replay_writes_the_storages_that_the_chain_has_now(valkey_url: str) -> None:
    broken, added = MemoryStorage(), MemoryStorage()
    broken.fail_with = Permanent("refused")
    units = {name: unit(name, MemoryStorage()) for name in ("good", "removed")}
    units |= {"broken": unit("broken", broken), "added": unit("added", added)}
    before = Chain("main", (step("a"),), ("good", "broken", "removed"), ("in",), egress=("out",))
    async with site(valkey_url, before, storages=units) as it:
        it.memory["removed"].fail_with = Permanent("refused")
        (uuid,) = await it.submit(vcon())
        await it.settled()
        (letter,) = await it.dead()
        assert letter.storages == ("broken", "removed")
    broken.fail_with = None
    after = Chain("main", (step("a"),), ("good", "broken", "added"), ("in",), egress=("out",))
    async with site(valkey_url, after, storages=units) as it:
        await it.backend.dead_letters.replay("in", [letter.id])
        await it.settled()
        assert await it.popped() == [uuid]
        assert len(it.memory["good"].batches) == 1
        assert uuid in broken.vcons
        assert uuid in added.vcons


async def test_a_paid_link_that_halts_stays_the_last_one(valkey_url: str) -> None:
    async def halt(vcon: Vcon, run: LinkRun) -> Outcome:
        vcon.add_tag("paid", "x")
        return Halt("enough")

    chain = Chain(
        "main", (step("halt", halt, paid=True), step("never")), lists=("in",), egress=("out",)
    )
    async with site(valkey_url, chain) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled()
        assert await it.popped() == []
        assert Vcon(await it.lookup.get(uuid) or b"").tags == ["paid:x"]


async def test_what_a_discarded_run_routed_is_forgotten(valkey_url: str) -> None:
    seen: list[str | None] = []

    async def route(vcon: Vcon, run: LinkRun) -> Outcome:
        seen.append(vcon.subject)
        if len(seen) == 1:
            theirs = vcon.to_bytes().replace(b'"first"', b'"theirs"')
            await it.ingest.accept(theirs)
        vcon.set("subject", f"{vcon.subject}!")
        return Route((f"to-{seen[-1]}",))

    chain = Chain("main", (step("route", route),), lists=("in",))
    async with site(valkey_url, chain) as it:
        (uuid,) = await it.submit(vcon(subject="first"))
        await it.settled()
        assert seen == ["first", "theirs"]
        assert await it.popped("to-first") == []
        assert await it.popped("to-theirs") == [uuid]


async def test_a_chain_at_its_cap_is_woken_whatever_the_read_is_doing(valkey_url: str) -> None:
    """A busy chain of one and a quiet one with two lists: the read covers only the quiet one."""
    quick = Chain("quick", (step("a"),), lists=("in",), egress=("out",), concurrency=1)
    quiet = Chain("quiet", (step("b", tagging("b")),), lists=("x", "y"))
    async with site(valkey_url, quick, quiet) as it:
        uuids = await it.submit(*(vcon() for _ in range(400)))
        async with asyncio.timeout(15):
            await it.settled()
        assert Counter(await it.popped()) == Counter(uuids)


async def test_foreign_entries_on_a_list_stop_nobody(redis_url: str) -> None:
    chain = Chain("main", (step("a"),), lists=("in",), egress=("out",))
    async with site(redis_url, chain, start=False) as it:
        client = it.backend.connections.commands
        await client.execute_command("XADD", "vconflow:list:in", "*", "foo", "bar")
        (uuid,) = await it.submit(vcon())
        await it.replica.start()
        await it.settled()
        assert await it.popped() == [uuid]
        (letter,) = await it.dead()
        assert (letter.uuid, letter.stage, letter.error) == ("", "entry", "no entry of vconflow")
        # As when an earlier life had read it already.
        await client.execute_command("XADD", "vconflow:list:in", "*", "foo", "bar")
        await it.settled()
        assert len(await it.dead()) == 2


async def test_leases_go_on_when_a_list_was_deleted_by_hand(valkey_url: str) -> None:
    chain = Chain("main", (step("a"),), lists=("in",), egress=("out",))
    async with site(valkey_url, chain, lease=0.15) as it:
        await it.backend.connections.commands.execute_command("DEL", "vconflow:list:in")
        await asyncio.sleep(0.3)
        (uuid,) = await it.submit(vcon())
        await it.settled()
        assert await it.popped() == [uuid]
        assert not it.replica._supervisor.failed.is_set()


async def test_a_replica_that_lost_its_name_stops(valkey_url: str) -> None:
    chain = Chain("main", (step("a"),), lists=("in",))
    async with site(valkey_url, chain, lease=0.15) as it:
        client = it.backend.connections.commands
        await client.execute_command("SET", "vconflow:consumer:one", "somebody else")
        async with asyncio.timeout(10):
            await it.replica.failed()


async def test_a_retry_that_waits_survives_a_restart(valkey_url: str) -> None:
    tries: list[int] = []

    async def fail(vcon: Vcon, run: LinkRun) -> Outcome:
        tries.append(run.attempt)
        if len(tries) == 1:
            raise Retryable("later")
        return CONTINUE

    waiting = Chain("main", (step("fail", fail, retry=SLOW),), lists=("in",), egress=("out",))
    async with site(valkey_url, waiting) as it:
        (uuid,) = await it.submit(vcon())
        await until(lambda: it.replica.consumer.waiting("main"))
    async with site(valkey_url, waiting) as it:
        assert it.replica.consumer.waiting("main") or await asyncio.sleep(0.05, True)
        assert (tries, await it.popped()) == ([1], [])
        rows = await it.backend.connections.commands.execute_command("KEYS", "vconflow:run:*")
        await it.backend.connections.commands.execute_command("HSET", rows[0], "due", 1)
    soon = Chain("main", (step("fail", fail, retry=FAST),), lists=("in",), egress=("out",))
    async with site(valkey_url, soon) as it:
        await it.settled()
        assert (tries, await it.popped()) == ([1, 2], [uuid])
        assert await it.dead() == []


async def test_a_stored_vcon_is_not_forgotten_because_it_once_was_to_expire(
    valkey_url: str,
) -> None:
    async def expire(vcon: Vcon, run: LinkRun) -> Outcome:
        run.expire(1)
        return CONTINUE

    storage = MemoryStorage()
    short = Chain("short", (step("expire", expire),), lists=("brief",))
    kept = Chain("kept", (), ("s",), ("in",))
    async with site(valkey_url, short, kept, storages={"s": unit("s", storage)}) as it:
        document = vcon()
        (uuid,) = await it.submit(document, to="brief")
        await it.settled("brief")
        await it.submit(document)
        await it.settled()
        await it.backend.connections.commands.execute_command("DEL", f"vcon:{uuid}")
        await it.backend.documents.sweep(4e9)
        assert await it.backend.documents.page(offset=0, limit=9, since=None, until=None) == [uuid]


async def test_renewing_takes_nothing_from_entries_that_are_just_being_committed(
    valkey_url: str,
) -> None:
    """Redis has acknowledged them already, and their tasks have not heard of it yet."""
    chain = Chain("main", (step("a"),), lists=("in",), egress=("out",))
    before = metrics.ENTRIES("main", "lost").total
    async with site(valkey_url, chain) as it:

        async def renew_all_the_time() -> None:
            while True:
                await it.replica._leases.renew()

        renewing = asyncio.create_task(renew_all_the_time())
        uuids = await it.submit(*(vcon() for _ in range(500)))
        await it.settled()
        renewing.cancel()
        assert sorted(await it.popped()) == sorted(uuids)
        assert not it.replica.consumer.owned()
        assert not it.replica.consumer.dropped("in")
    assert metrics.ENTRIES("main", "lost").total == before


async def test_more_lookups_at_once_than_the_driver_has_connections(valkey_url: str) -> None:
    async with site(valkey_url, Chain("main", lists=("in",), held="not read here")) as it:
        uuids = await it.submit(*(vcon() for _ in range(300)))
        found = await asyncio.gather(*map(it.lookup.get, uuids))
        assert all(found)
        documents = it.backend.documents
        alone = await asyncio.gather(*(documents.fetch([uuid]) for uuid in uuids))
        assert all(document.document for (document,) in alone)
