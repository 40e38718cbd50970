"""Tracers are told before the first link and after each; they lose no vCon and repeat no link."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from pipeline_support import FAST, Site, site, step, tagging, unit, until, vcon
from structlog.testing import capture_logs

from vconflow.errors import Permanent, Retryable
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain, TracerUnit
from vconflow.pipeline.retry import RetryPolicy
from vconflow.ports.link import CONTINUE, Continue, Halt, LinkRun, Outcome, Replace
from vconflow.telemetry import metrics
from vconflow.testing.memory_storage import MemoryStorage
from vconflow.testing.memory_tracer import MemoryTracer

PROBE = 0.05
WAY = [("", "a"), ("a", "b"), ("b", "")]


@dataclass
class Counted:
    """A link that tags, and counts its calls by uuid; `errors` are raised first."""

    name: str
    calls: Counter[str] = field(default_factory=Counter)
    errors: list[Exception] = field(default_factory=list)

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        self.calls[vcon.uuid] += 1
        if self.errors:
            raise self.errors.pop(0)
        return await tagging(self.name)(vcon, run)


def traced(*tracers: MemoryTracer, retry: RetryPolicy = FAST) -> tuple[TracerUnit, ...]:
    return tuple(
        TracerUnit(f"t{number}", tracer, timeout=5.0, retry=retry)
        for number, tracer in enumerate(tracers)
    )


def ab(tracers: tuple[TracerUnit, ...], **options: object) -> Chain:
    links = (step("a", Counted("a")), step("b", Counted("b")))
    values: dict[str, object] = {"steps": links, "lists": ("in",), "egress": ("out",), **options}
    return Chain("main", tracers=tracers, **values)  # type: ignore[arg-type]


async def finished(it: Site, *uuids: str) -> None:
    await it.settled()
    assert await it.dead() == []
    assert sorted(await it.popped()) == sorted(uuids)


async def test_before_the_first_link_and_after_each(redis_url: str) -> None:
    one, two = MemoryTracer(), MemoryTracer(required=True)
    other = Chain("other", (step("c"),), lists=("elsewhere",), egress=("out",))
    empty = Chain("empty", lists=("empty",), egress=("out",), tracers=traced(one))
    async with site(redis_url, ab(traced(one, two)), other, empty) as it:
        document = vcon()
        (uuid,) = await it.submit(document)
        await finished(it, uuid)
        for untraced in ("elsewhere", "empty"):
            (uuid_2,) = await it.submit(vcon(), to=untraced)
            await it.settled(untraced)
            assert await it.popped() == [uuid_2]
    assert one.passages == two.passages
    assert one.way(uuid) == WAY
    first, second, third = one.passages
    assert (first.before, first.document) == (None, document)
    assert second.before == document
    assert Vcon(second.document).tags == ["a:a"]
    assert third.before == second.document
    assert Vcon(third.document).tags == ["a:a", "b:b"]
    assert {(it.in_uuid, it.out_uuid, it.chain) for it in one.passages} == {(uuid, uuid, "main")}


async def test_a_vcon_that_ends_early_or_is_replaced(valkey_url: str) -> None:
    tracer = MemoryTracer()

    async def halt(vcon: Vcon, run: LinkRun) -> Outcome:
        return Halt("enough")

    async def swap(vcon: Vcon, run: LinkRun) -> Outcome:
        return Replace(found[0])

    halted = Chain("h", (step("h", halt), step("never")), lists=("halt",), tracers=traced(tracer))
    swapping = (step("a"), step("swap", swap), step("b"))
    swaps = Chain("s", swapping, lists=("in",), egress=("out",), tracers=traced(tracer))
    keeps = Chain("keep", (), lists=("keep",))
    async with site(valkey_url, halted, swaps, keeps) as it:
        (stopped,) = await it.submit(vcon(), to="halt")
        await it.settled("halt")
        assert tracer.way(stopped) == [("", "h"), ("h", "")]
        found = await it.submit(vcon(), to="keep")
        await it.settled("keep")
        (uuid,) = await it.submit(vcon())
        await finished(it, *found)
    ways = [(p.link, p.in_uuid, p.out_uuid) for p in tracer.passages if p.chain == "s"]
    (new,) = found
    assert ways == [("", uuid, uuid), ("a", uuid, uuid), ("swap", uuid, new), ("b", new, new)]


async def test_a_failing_link_is_not_told_twice_of_what_came_before(valkey_url: str) -> None:
    tracer, failing = MemoryTracer(required=True), Counted("b", errors=[Retryable("503")] * 2)
    chain = ab(traced(tracer), steps=(step("a"), step("b", failing)))
    async with site(valkey_url, chain) as it:
        (uuid,) = await it.submit(vcon())
        await finished(it, uuid)
    assert failing.calls[uuid] == 3
    assert tracer.way(uuid) == WAY


async def test_a_required_tracer_that_refuses_makes_a_dead_letter(redis_url: str) -> None:
    early, tracer = MemoryTracer(), MemoryTracer(required=True)
    a, b = Counted("a"), Counted("b")

    async def refuse(vcon: Vcon, run: LinkRun) -> Outcome:
        tracer.refuse[vcon.uuid] = Permanent("status 401")
        return await a(vcon, run)

    chain = ab(traced(early, tracer), steps=(step("a", refuse, paid=True), step("b", b)))
    async with site(redis_url, chain) as it:
        (uuid,) = await it.submit(vcon())
        await it.settled()
        (letter,) = await it.dead()
        assert (letter.stage, letter.error_type, letter.attempts) == ("tracer:t1", "Permanent", 1)
        assert letter.error == "status 401"
        history = await it.backend.history.of(uuid)
        assert (history[-1].kind, history[-1].stage) == ("dead-lettered", "tracer:t1")
        assert [time.name for time in history[-1].links] == ["a"]
        assert (a.calls[uuid], b.calls[uuid]) == (1, 0)

        tracer.refuse.clear()
        await it.backend.dead_letters.replay("in", [letter.id])
        await finished(it, uuid)
    # What the link did was kept; only whoever does not know it is told, and the chain goes on.
    assert (a.calls[uuid], b.calls[uuid]) == (1, 1)
    assert tracer.way(uuid) == WAY
    assert early.way(uuid) == WAY


@pytest.mark.parametrize("error", [Retryable("503"), KeyError("a bug")], ids=repr)
async def test_a_required_tracer_is_tried_again_by_its_policy(
    valkey_url: str, error: Exception
) -> None:
    early, tracer = MemoryTracer(), MemoryTracer(required=True)
    bad = vcon(subject="poison")
    tracer.refuse[Vcon(bad).uuid] = error
    a, b = Counted("a"), Counted("b")
    steps = (step("a", a), step("b", b))
    units = traced(early, tracer, retry=RetryPolicy(2, 0.05, 0.05))
    async with site(valkey_url, ab(units, steps=steps), longest_probe=PROBE) as it:
        (poisoned,) = await it.submit(bad)
        while not await it.dead():
            await it.submit(vcon())  # others get through meanwhile: it is not down
            await asyncio.sleep(0.01)
        (letter,) = await it.dead()
        assert (letter.uuid, letter.stage, letter.attempts) == (poisoned, "tracer:t1", 2)
    assert (a.calls[poisoned], b.calls[poisoned]) == (0, 0)
    # The first tracer knew already.
    assert early.way(poisoned) == [("", "a")]


async def test_what_a_link_did_is_not_repeated_when_it_cannot_be_told(valkey_url: str) -> None:
    tracer, a, b = MemoryTracer(required=True), Counted("a"), Counted("b")

    async def failing(vcon: Vcon, run: LinkRun) -> Outcome:
        tracer.fail_with = Retryable("503")
        return await a(vcon, run)

    chain = ab(traced(tracer), steps=(step("a", failing), step("b", b)))
    async with site(valkey_url, chain, longest_probe=PROBE) as it:
        (uuid,) = await it.submit(vcon())
        await until(lambda: tracer.calls > 3)
        tracer.fail_with = None
        await finished(it, uuid)
        assert Vcon(await it.lookup.get(uuid) or b"").tags == ["a:a", "b:b"]
    assert (a.calls[uuid], b.calls[uuid]) == (1, 1)
    assert tracer.way(uuid) == WAY


async def test_a_paid_link_that_ends_the_chain_is_not_bought_again(valkey_url: str) -> None:
    """Also when it is traced before the entry ends, and its replica goes away meanwhile."""
    tracer, bought = MemoryTracer(required=True), Counter[str]()

    async def buy(vcon: Vcon, run: LinkRun) -> Outcome:
        bought[vcon.uuid] += 1
        vcon.add_tag("paid", "paid")
        tracer.delay = 60.0
        return Halt("enough")

    chain = ab(traced(tracer), steps=(step("a", buy, paid=True), step("b")))
    async with site(valkey_url, chain, name="one", lease=0.4) as it:
        (uuid,) = await it.submit(vcon())
        await until(lambda: tracer.calls == 2)
        # The end of a process: nothing is handed over, nothing is renewed any more.
        await it.replica._supervisor.stop("leases")
        it.replica.consumer._stream.hand_over = nothing  # type: ignore[method-assign]
        it.replica._policy = replace(it.replica._policy, grace=0.0)
    tracer.delay = 0.0
    async with site(valkey_url, chain, name="two", lease=0.4) as other:
        await other.settled()
        assert Vcon(await other.lookup.get(uuid) or b"").tags == ["paid:paid"]
        assert await other.dead() == []
    assert bought == {uuid: 1}
    assert tracer.way(uuid) == [("", "a"), ("a", "")]


async def nothing(*_: object) -> None:
    return None


async def test_an_outage_of_a_required_tracer_parks_and_stops_reading(redis_url: str) -> None:
    tracer = MemoryTracer(required=True)
    tracer.fail_with = Retryable("away")
    storage = MemoryStorage()
    chain = ab(traced(tracer, retry=RetryPolicy(1)), storages=("s",), concurrency=10)
    units = {"s": unit("s", storage)}
    async with site(redis_url, chain, storages=units, longest_probe=PROBE) as it:
        uuids = await it.submit(*(vcon() for _ in range(200)))
        await until(lambda: it.replica.breakers.open_ones)
        await until(lambda: it.replica.consumer.inflight("main") == 0 and tracer.pings > 3)
        (breaker,) = it.replica.breakers.open_ones
        assert (breaker.name, breaker.error) == ("tracer:t0", "away")
        assert (await it.backend.stream.depth(["in"]))["in"].waiting > 100
        assert tracer.calls < 60
        assert storage.vcons == {}
        tracer.fail_with = None
        await finished(it, *uuids)
    assert storage.vcons.keys() == set(uuids)
    assert [uuid for uuid in uuids if tracer.way(uuid) != WAY] == []


async def test_an_outage_of_another_tracer_stops_nothing(redis_url: str) -> None:
    """It hangs: a few wait for it, then it is pinged and nothing else until it is back."""
    tracer, required = MemoryTracer(), MemoryTracer(required=True)
    tracer.delay = 60.0
    lenient = TracerUnit("slow", tracer, timeout=0.2)
    skipped = metrics.TRACER_SECONDS("slow", "skipped")
    chain = ab((lenient, *traced(required)), concurrency=10)
    with capture_logs() as logs:
        async with site(redis_url, chain, longest_probe=PROBE) as it:
            uuids = await it.submit(*(vcon() for _ in range(300)))
            await finished(it, *uuids)
            # Ten at a time found out; all others did not even ask.
            assert 5 <= tracer.calls <= 20
            assert it.replica.breakers.of("tracer:slow").is_open
            tracer.delay = 0.0
            await until(lambda: not it.replica.breakers.of("tracer:slow").is_open)
            (again,) = await it.submit(vcon())
            await finished(it, again)
            assert tracer.way(again) == WAY
    assert [uuid for uuid in uuids if required.way(uuid) != WAY] == []
    failed = [line for line in logs if line["event"] == "tracer_failed"]
    assert len(failed) == tracer.calls - 3
    assert {line["tracer"] for line in failed} == {"slow"}
    assert skipped is metrics.TRACER_SECONDS("slow", "skipped")


async def test_a_tracer_that_always_fails_is_counted_and_logged(valkey_url: str) -> None:
    tracer = MemoryTracer()
    tracer.fail_with = Permanent("status 401")
    with capture_logs() as logs:
        async with site(valkey_url, ab(traced(tracer))) as it:
            uuids = await it.submit(vcon(), vcon())
            await finished(it, *uuids)
    failed = [line for line in logs if line["event"] == "tracer_failed"]
    assert Counter(line["uuid"] for line in failed) == dict.fromkeys(uuids, 3)
    assert {line["error"] for line in failed} == {"status 401"}


async def test_what_a_tracer_takes_is_none_of_the_links_time(valkey_url: str) -> None:
    tracer = MemoryTracer(required=True)
    tracer.delay = 0.4

    async def brief(vcon: Vcon, run: LinkRun) -> Outcome:
        await asyncio.sleep(0.01)
        return CONTINUE

    steps = (step("a", brief), step("b", brief))
    async with site(valkey_url, ab(traced(tracer), steps=steps, timeout=0.39)) as it:
        (uuid,) = await it.submit(vcon())
        await finished(it, uuid)
    assert tracer.way(uuid) == WAY


async def test_links_that_run_again_on_what_others_wrote_are_told_again(valkey_url: str) -> None:
    tracer, went, go = MemoryTracer(required=True), asyncio.Event(), asyncio.Event()

    async def rename(vcon: Vcon, run: LinkRun) -> Outcome:
        vcon.set("subject", f"{vcon.subject} and mine")
        went.set()
        await go.wait()
        return Continue()

    chain = ab(traced(tracer), steps=(step("a", rename),))
    async with site(valkey_url, chain) as it:
        first = vcon(subject="old")
        (uuid,) = await it.submit(first)
        await went.wait()
        changed = json.loads(first) | {"subject": "theirs"}
        await it.ingest.accept(json.dumps(changed).encode(), ())
        go.set()
        await finished(it, uuid)
    assert tracer.way(uuid) == [("", "a"), ("a", ""), ("", "a"), ("a", "")]
    subjects = [Vcon(it.document).subject for it in tracer.passages]
    assert subjects == ["old", "old and mine", "theirs", "theirs and mine"]
