"""What becomes of a vCon when a link, a storage, a replica or somebody else gets in the way."""

import asyncio
import contextlib
import json
from collections.abc import Callable

import msgspec
import pytest
from pipeline_support import FAST, site, step, tagging, unit, vcon

from vconflow.errors import Permanent, Retryable
from vconflow.model.identifiers import new_uuid
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.ports.stream import ReadRequest
from vconflow.testing.memory_storage import MemoryStorage


def tags_of(document: bytes | None) -> list[str]:
    return Vcon(document or b"{}").tags


async def die_here() -> None:
    """End the task that works on the entry, as the end of its process would."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


class Failing:
    """A link that changes the vCon and then fails the first `times` times."""

    def __init__(self, error: BaseException, times: int = 1000) -> None:
        self.error = error
        self.times = times
        self.attempts: list[int] = []

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        self.attempts.append(run.attempt)
        vcon.add_tag(f"try{len(self.attempts)}", "x")
        if len(self.attempts) <= self.times:
            raise self.error
        return CONTINUE


async def test_a_retry_resumes_at_the_failed_link_without_its_half_work(valkey_url: str) -> None:
    calls: list[int] = []

    async def once(vcon: Vcon, run: LinkRun) -> Outcome:
        calls.append(1)
        vcon.add_tag("once", "x")
        return CONTINUE

    failing = Failing(Retryable("later"), times=2)
    chain = Chain("main", (step("once", once), step("f", failing)), lists=("in",), egress=("out",))
    async with site(valkey_url, chain) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled()
        assert (len(calls), failing.attempts) == (1, [1, 2, 3])
        assert tags_of(await it.lookup.get(uuid)) == ["once:x", "try3:x"]
        assert await it.popped() == [uuid]


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (Retryable("still away"), 3),
        (ValueError("a bug"), 3),
        (Permanent("never"), 1),
        (SystemExit(3), 1),
        (KeyboardInterrupt(), 1),
        (asyncio.CancelledError(), 3),
    ],
)
async def test_attempts_used_up_or_permanent_end_as_a_dead_letter(
    valkey_url: str, error: BaseException, attempts: int
) -> None:
    failing = Failing(error)
    chain = Chain("main", (step("a"), step("f", failing)), lists=("in",), egress=("out",))
    healthy = Chain("healthy", (step("b"),), lists=("well",), egress=("fine",))
    async with site(valkey_url, chain, healthy) as it:
        (uuid,) = await it.submit(vcon())
        (sibling,) = await it.submit(vcon(), to="well")
        await it.settled("in", "well")
        (letter,) = await it.dead()
        assert (letter.uuid, letter.chain, letter.stage) == (uuid, "main", "link:f")
        kind = "Retryable" if isinstance(error, asyncio.CancelledError) else type(error).__name__
        assert (letter.attempts, letter.error_type) == (attempts, kind)
        assert letter.next_link == "f"
        assert tags_of(await it.lookup.get(uuid)) == ["a:a"]
        assert await it.popped("fine") == [sibling]

        failing.times = 0
        await it.backend.dead_letters.replay("in", [letter.id])
        await it.settled()
        assert await it.popped() == [uuid]


def no_party(vcon: Vcon) -> None:
    vcon.edit("parties").append("Ann")


def no_json(vcon: Vcon) -> None:
    vcon.edit("analysis").append({"body": object()})


def without_end(vcon: Vcon) -> None:
    analysis = vcon.edit("analysis")
    analysis.append({"body": analysis})


@pytest.mark.parametrize("nonsense", [no_party, no_json, without_end])
async def test_a_link_that_leaves_what_cannot_be_written(
    valkey_url: str, nonsense: Callable[[Vcon], None]
) -> None:
    calls: list[str] = []

    async def bad(vcon: Vcon, run: LinkRun) -> Outcome:
        calls.append(run.entry)
        nonsense(vcon)
        return CONTINUE

    chain = Chain("main", (step("a"), step("bad", bad, paid=True)), lists=("in",))
    async with site(valkey_url, chain) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled()
        (letter,) = await it.dead()
        assert (letter.stage, letter.error_type, letter.next_link) == (
            "link:bad",
            "Permanent",
            "bad",
        )
        assert letter.error.startswith("link 'bad' made a vCon that cannot be written")
        assert len(calls) == 1
        assert tags_of(await it.lookup.get(uuid)) == ["a:a"]


async def test_a_conserver_document_with_a_bad_date_is_stored(valkey_url: str) -> None:
    storage = MemoryStorage()
    chain = Chain("main", (step("a"),), ("s",), ("in",), egress=("out",))
    async with site(valkey_url, chain, storages={"s": unit("s", storage)}) as it:
        uuid, client = new_uuid(), it.backend.connections.commands
        await client.execute_command("SET", f"vcon:{uuid}", vcon(uuid, created_at="yesterday"))
        await it.ingest.enqueue([uuid], "in")
        await it.settled()
        assert await it.popped() == [uuid]
        assert storage.vcons[uuid].created_at == 0.0


async def test_nonsense_and_timeouts_of_links(valkey_url: str) -> None:
    async def nonsense(vcon: Vcon, run: LinkRun) -> Outcome:
        return "yes"  # type: ignore[return-value]

    async def hang(vcon: Vcon, run: LinkRun) -> Outcome:
        await asyncio.sleep(60)
        return CONTINUE

    async def rename(vcon: Vcon, run: LinkRun) -> Outcome:
        vcon._members["uuid"] = msgspec.Raw(b'"00000000-0000-4000-8000-000000000000"')
        return CONTINUE

    chains = [
        Chain("n", (step("nonsense", nonsense),), lists=("in",)),
        Chain("r", (step("rename", rename, retry=FAST),), lists=("renamed",)),
        Chain("t", (step("hang", hang, timeout=0.02),), lists=("slow",)),
        Chain("c", (step("hang", hang),), lists=("slower",), timeout=0.02),
    ]
    async with site(valkey_url, *chains) as it:
        for name in ("in", "renamed", "slow", "slower"):
            await it.submit(vcon(), to=name)
        await it.settled("in", "renamed", "slow", "slower")
        (nonsense_letter,) = await it.dead("in")
        assert "returned str, which is no outcome" in nonsense_letter.error
        (renamed,) = await it.dead("renamed")
        assert renamed.error == "link 'rename' changed the uuid"
        for name in ("slow", "slower"):
            (letter,) = await it.dead(name)
            assert (letter.attempts, "took over" in letter.error) == (3, True)


async def test_only_the_failed_storage_is_written_again(valkey_url: str) -> None:
    good, bad = MemoryStorage(), MemoryStorage()
    bad.fail_with = Retryable("outage")
    chain = Chain("main", (step("a"),), ("good", "bad"), ("in",), egress=("out",))
    units = {"good": unit("good", good), "bad": unit("bad", bad, retry=FAST)}
    async with site(valkey_url, chain, storages=units) as it:
        (uuid,) = await it.submit(vcon())
        while len(bad.batches) < 2:
            await asyncio.sleep(0.001)
        bad.fail_with = None
        await it.settled()
        assert await it.popped() == [uuid]
        assert len(good.batches) == 1
        # The outage may end while the second write is under way.
        assert len(bad.batches) in (2, 3)
        assert good.vcons == bad.vcons


async def test_one_poisoned_vcon_does_not_fail_its_batch(valkey_url: str) -> None:
    class Picky(MemoryStorage):
        async def put(self, vcons):  # type: ignore[no-untyped-def]
            if any(b"poison" in item.document for item in vcons):
                raise Permanent("cannot store that")
            await super().put(vcons)

    chain = Chain("main", (), ("s",), ("in",), egress=("out",))
    async with site(valkey_url, chain, storages={"s": unit("s", Picky())}, start=False) as it:
        (bad,) = await it.submit(vcon(subject="poison"))
        good = await it.submit(*(vcon() for _ in range(9)))
        await it.replica.start()
        await it.settled()
        assert sorted(await it.popped()) == sorted(good)
        (letter,) = await it.dead()
        assert (letter.uuid, letter.stage) == (bad, "storage:s")


async def test_a_missing_document_is_read_from_a_storage_or_becomes_a_dead_letter(
    valkey_url: str,
) -> None:
    chain = Chain("main", (step("a"),), ("s",), ("in",), egress=("out",))
    async with site(valkey_url, chain, storages={"s": unit("s", MemoryStorage())}) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled()
        client = it.backend.connections.commands
        await client.execute_command("DEL", f"vcon:{uuid}")
        assert tags_of(await it.lookup.get(uuid)) == ["a:a"]
        assert 0 < await client.execute_command("PTTL", f"vcon:{uuid}") <= 3_600_000

        await client.execute_command("DEL", f"vcon:{uuid}")
        assert await it.ingest.enqueue([uuid, Vcon(vcon()).uuid], "in") == 1
        await it.settled()
        assert await it.popped() == [uuid, uuid]

        await client.execute_command(
            "XADD", "vconflow:list:in", "*", "uuid", Vcon(vcon()).uuid, "at", "1"
        )
        await it.settled()
        (letter,) = await it.dead()
        assert (letter.stage, letter.error) == ("document", "document missing")


async def test_a_storage_that_cannot_be_asked_is_no_missing_document(valkey_url: str) -> None:
    storage = MemoryStorage()
    chain = Chain("main", (), ("s",), ("in",))
    async with site(valkey_url, chain, storages={"s": unit("s", storage)}) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled()
        await it.backend.connections.commands.execute_command("DEL", f"vcon:{uuid}")
        storage.fail_with = Retryable("away")
        with pytest.raises(Retryable, match="cannot be read now: s"):
            await it.lookup.get(uuid)
        storage.fail_with = None
        assert await it.lookup.get(uuid) is not None


async def test_concurrent_misses_make_one_storage_read(valkey_url: str) -> None:
    class Counting(MemoryStorage):
        reads = 0

        async def get(self, uuid: str) -> bytes | None:
            self.reads += 1
            await asyncio.sleep(0.01)
            return await super().get(uuid)

    storage = Counting()
    chain = Chain("main", (), ("s",), ("in",))
    async with site(valkey_url, chain, storages={"s": unit("s", storage)}) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled()
        await it.backend.connections.commands.execute_command("DEL", f"vcon:{uuid}")
        found = await asyncio.gather(*(it.lookup.get(uuid) for _ in range(20)))
        assert (len(set(found)), storage.reads) == (1, 1)


async def test_a_change_during_the_chain_is_merged(valkey_url: str) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def pause(vcon: Vcon, run: LinkRun) -> Outcome:
        entered.set()
        await leave.wait()
        vcon.add_tag("ours", "x")
        return CONTINUE

    chain = Chain("main", (step("p", pause),), ("s",), ("in",))
    async with site(valkey_url, chain, storages={"s": unit("s", MemoryStorage())}) as it:
        document = vcon()
        (uuid,) = await it.submit(document)
        await entered.wait()
        await it.ingest.accept(document[:-1] + b', "subject": "theirs"}')
        leave.set()
        await it.settled()
        stored = it.memory["s"].vcons[uuid].document
        assert stored == await it.lookup.get(uuid)
        assert (Vcon(stored).subject, tags_of(stored)) == ("theirs", ["ours:x"])


async def test_a_contradiction_runs_the_links_again_on_the_fresh_document(valkey_url: str) -> None:
    seen: list[str | None] = []

    async def subject(vcon: Vcon, run: LinkRun) -> Outcome:
        seen.append(vcon.subject)
        if len(seen) == 1:
            changed = json.loads(vcon.to_bytes()) | {"subject": "theirs"}
            await it.ingest.accept(json.dumps(changed).encode())
        vcon.set("subject", f"{vcon.subject}, ours")
        return CONTINUE

    chain = Chain("main", (step("subject", subject),), lists=("in",))
    async with site(valkey_url, chain) as it:
        (uuid,) = await it.submit(vcon(subject="first"))
        await it.settled()
        assert seen == ["first", "theirs"]
        assert Vcon(await it.lookup.get(uuid) or b"").subject == "theirs, ours"


async def test_storages_converge_on_the_last_revision(valkey_url: str) -> None:
    class Interfering(MemoryStorage):
        async def put(self, vcons):  # type: ignore[no-untyped-def]
            await super().put(vcons)
            if len(self.batches) == 1:
                await it.ingest.accept(vcons[0].document[:-1] + b', "subject": "late"}')

    storages = {"s": unit("s", Interfering()), "t": unit("t", MemoryStorage())}
    chain = Chain("main", (step("a"),), ("s", "t"), ("in",), egress=("out",))
    async with site(valkey_url, chain, storages=storages) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled()
        assert await it.popped() == [uuid]
        current = await it.lookup.get(uuid)
        assert Vcon(current or b"").subject == "late"
        assert {s.vcons[uuid].document for s in it.memory.values()} == {current}


async def test_deleting_during_the_chain_leaves_nothing_behind(valkey_url: str) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def pause(vcon: Vcon, run: LinkRun) -> Outcome:
        entered.set()
        await leave.wait()
        return CONTINUE

    class Late(MemoryStorage):
        async def put(self, vcons):  # type: ignore[no-untyped-def]
            await super().put(vcons)
            leave.set()

    chain = Chain("main", (step("a"), step("p", pause)), ("s",), ("in",), egress=("out",))
    direct = Chain("direct", (), ("s",), ("in2",), egress=("out",))
    async with site(valkey_url, chain, direct, storages={"s": unit("s", Late())}) as it:
        (uuid,) = await it.submit(vcon())
        await entered.wait()
        assert (await it.lookup.delete(uuid)).found
        leave.set()
        await it.settled("in")
        assert await it.lookup.get(uuid) is None
        assert (it.memory["s"].vcons, await it.popped()) == ({}, [])


async def test_deletion_reports_the_storage_that_failed(valkey_url: str) -> None:
    storages = {"s": unit("s", MemoryStorage()), "t": unit("t", MemoryStorage())}
    async with site(valkey_url, Chain("m", (), ("s", "t"), ("in",)), storages=storages) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled()
        it.memory["t"].fail_with = Retryable("away")
        deletion = await it.lookup.delete(uuid)
        assert (deletion.found, deletion.failed) == (True, {"t": "away"})
        assert it.memory["s"].vcons == {}
        it.memory["t"].fail_with = None
        assert (await it.lookup.delete(uuid)).found
        assert not (await it.lookup.delete(uuid)).found


async def test_a_paid_result_is_kept_before_the_next_step(valkey_url: str) -> None:
    bought: list[int] = []

    async def buy(vcon: Vcon, run: LinkRun) -> Outcome:
        bought.append(1)
        vcon.add_tag("bought", "x")
        return CONTINUE

    async def die(vcon: Vcon, run: LinkRun) -> Outcome:
        if len(deaths) < 1:
            deaths.append(1)
            await die_here()
        return CONTINUE

    deaths: list[int] = []
    chain = Chain(
        "main", (step("buy", buy, paid=True), step("die", die)), lists=("in",), egress=("out",)
    )
    async with site(valkey_url, chain, lease=0.3) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled()
        assert (len(bought), await it.popped()) == (1, [uuid])


async def test_an_entry_that_keeps_killing_its_replica_becomes_a_dead_letter(
    valkey_url: str,
) -> None:
    async def die(vcon: Vcon, run: LinkRun) -> Outcome:
        await die_here()
        return CONTINUE

    chain = Chain("main", (step("die", die),), lists=("in",))
    async with site(valkey_url, chain, lease=0.15) as it:
        await it.submit(vcon())
        await it.settled()
        (letter,) = await it.dead()
        assert (letter.stage, letter.error) == (
            "crash", "the process died 3 times while working on it",
        )  # fmt: skip


async def test_a_replica_takes_over_what_a_dead_one_left(redis_url: str) -> None:
    hang = asyncio.Event()

    async def first_hangs(vcon: Vcon, run: LinkRun) -> Outcome:
        await hang.wait()
        return CONTINUE

    def chain(*steps: object) -> Chain:
        return Chain("main", tuple(steps), ("s",), ("in",), egress=("out",))  # type: ignore[arg-type]

    storages = {"s": unit("s", MemoryStorage())}
    hanging = chain(step("h", first_hangs))
    async with contextlib.AsyncExitStack() as stack:
        dying = await stack.enter_async_context(
            site(redis_url, hanging, storages=storages, name="dying", lease=0.4, grace=0.0)
        )
        uuids = await dying.submit(*(vcon() for _ in range(30)))
        while dying.replica.consumer.inflight("main") < 30:
            await asyncio.sleep(0.01)
        # It stops renewing, as a dead process does, and wakes up later with its work still there.
        await dying.replica._supervisor.stop("leases")
        async with site(
            redis_url, chain(step("h", tagging("h"))), storages=storages, name="heir", lease=0.4
        ) as heir:
            await heir.settled()
            hang.set()
            await asyncio.sleep(0.1)
            assert sorted(await heir.popped()) == sorted(uuids)


async def test_stopping_finishes_or_hands_over_everything(redis_url: str) -> None:
    async def slow(vcon: Vcon, run: LinkRun) -> Outcome:
        await asyncio.sleep(0.05 if vcon.subject == "quick" else 30)
        return CONTINUE

    failing = Failing(Retryable("later"))
    chain = Chain("main", (step("slow", slow),), lists=("in",), egress=("out",))
    waiting = Chain(
        "wait", (step("f", failing, retry=FAST.__class__(base=1e4, max=1e4)),), lists=("w",)
    )
    async with site(redis_url, chain, waiting, name="old", grace=0.3) as old:
        quick = await old.submit(*(vcon(subject="quick") for _ in range(5)))
        slow_ones = await old.submit(*(vcon(subject="slow") for _ in range(5)))
        await old.submit(vcon(), to="w")
        while old.replica.consumer.inflight("main") < 10 or not old.replica.consumer.waiting(
            "wait"
        ):
            await asyncio.sleep(0.01)
    easy = Chain("main", (step("a"),), lists=("in",), egress=("out",))
    async with site(redis_url, easy, Chain("wait", lists=("w",)), name="new", lease=0.3) as new:
        await new.settled("in")
        popped = await new.popped()
        assert popped[:5] == quick
        assert sorted(popped[5:]) == sorted(slow_ones)
        assert await new.dead() == []
        # What waits for a retry goes on waiting for its time.
        assert new.replica.consumer.waiting("wait") == 1


async def test_a_restart_goes_on_with_its_own_entries(redis_url: str) -> None:
    chain = Chain("main", (step("a"),), lists=("in",), egress=("out",))
    async with site(redis_url, chain, start=False) as it:
        uuids = await it.submit(*(vcon() for _ in range(5)))
        await it.backend.stream.ensure(["in"])
        assert len(await it.backend.stream.read([ReadRequest(("in",), 5)], 5, 0.1)) == 5
        it.replica.stopping = True  # as if killed: nothing is handed over
    async with site(redis_url, chain, lease=30) as again:
        await again.settled()
        assert sorted(await again.popped()) == sorted(uuids)


async def test_a_vcon_posted_again_after_its_deletion_keeps_its_copies(valkey_url: str) -> None:
    """The chain of the deleted life ends after the new life was stored: it must not remove that."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def pause(vcon: Vcon, run: LinkRun) -> Outcome:
        if vcon.subject == "old":
            entered.set()
            await leave.wait()
        return CONTINUE

    chain = Chain("main", (step("p", pause),), ("s",), ("in",), egress=("out",))
    async with site(valkey_url, chain, storages={"s": unit("s", MemoryStorage())}) as it:
        document = vcon(subject="old")
        (uuid,) = await it.submit(document)
        await entered.wait()
        await it.lookup.delete(uuid)
        await it.submit(document.replace(b'"old"', b'"new"'))
        while not it.memory["s"].vcons:
            await asyncio.sleep(0.005)
        leave.set()
        await it.settled()
        assert Vcon(it.memory["s"].vcons[uuid].document).subject == "new"
        assert await it.popped() == [uuid]


async def test_a_deletion_that_a_storage_refuses_is_tried_again_and_told(valkey_url: str) -> None:
    storage = MemoryStorage()
    entered, leave = asyncio.Event(), asyncio.Event()

    async def pause(vcon: Vcon, run: LinkRun) -> Outcome:
        entered.set()
        await leave.wait()
        return CONTINUE

    chain = Chain("main", (step("p", pause),), ("s",), ("in",))
    async with site(valkey_url, chain, storages={"s": unit("s", storage)}) as it:
        await it.submit(vcon())
        await entered.wait()
        (uuid,) = await it.backend.documents.page(offset=0, limit=9, since=None, until=None)
        await it.lookup.delete(uuid)
        storage.fail_with = ValueError("a bug")
        leave.set()
        await it.settled()
        (letter,) = await it.dead()
        assert (letter.stage, letter.attempts) == ("storage:s", 3)


async def test_a_list_of_the_wrong_kind_ends_as_a_dead_letter(valkey_url: str) -> None:
    chain = Chain("main", (step("a"),), lists=("in",), egress=("wrong",))
    async with site(valkey_url, chain) as it:
        client = it.backend.connections.commands
        await client.execute_command("SET", "vconflow:list:wrong", "x")
        await it.submit(vcon())
        await it.settled()
        (letter,) = await it.dead()
        assert letter.stage == "commit"
        assert "vconflow:list:wrong" in letter.error


async def test_a_held_chain_does_not_run_what_an_earlier_life_had_begun(valkey_url: str) -> None:
    chain = Chain("main", (step("a"),), lists=("in",), egress=("out",))
    async with site(valkey_url, chain, start=False) as it:
        await it.submit(vcon())
        await it.backend.stream.ensure(["in"])
        await it.backend.stream.read([ReadRequest(("in",), 5)], 5, 0.1)
        it.replica.stopping = True
    held = Chain("main", (), lists=("in",), egress=("out",), held="not built yet")
    async with site(valkey_url, held, lease=0.15) as it:
        await asyncio.sleep(0.4)
        assert (await it.backend.stream.depth(["in"]))["in"].pending == 1
        assert await it.popped() == []
