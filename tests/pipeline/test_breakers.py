"""An outage stops what needs it, and nothing else; it never fills the dead letters."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
import structlog
from pipeline_support import FAST, Site, site, step, unit, until, vcon

from vconflow.errors import PartialFailure, Permanent, Retryable, Unavailable
from vconflow.model.vcon import Vcon
from vconflow.pipeline.breaker import Breaker, Breakers, Paused
from vconflow.pipeline.chain import Chain
from vconflow.pipeline.retry import RetryPolicy
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.testing.memory_storage import MemoryStorage

ONCE = RetryPolicy(attempts=1)
PROBE = 0.05


class Service:
    """What a link calls; `down` is what it raises."""

    def __init__(self) -> None:
        self.down: Exception | None = None
        self.poison = "none"
        self.calls: list[str] = []

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        self.calls.append(vcon.uuid)
        await asyncio.sleep(0.001)
        if self.down or vcon.subject == self.poison:
            raise self.down or Retryable("not this one")
        return CONTINUE


async def everything_arrived(it: Site, uuids: list[str]) -> None:
    await it.settled()
    assert Counter(await it.popped()) == Counter(uuids)
    assert await it.dead() == []


@pytest.mark.parametrize("attempts", [1, 3, 9])
async def test_a_storage_that_is_down_parks_what_it_lacks(redis_url: str, attempts: int) -> None:
    down, good = MemoryStorage(), MemoryStorage()
    down.fail_with = Retryable("away")
    units = {
        "down": unit("down", down, retry=RetryPolicy(attempts, 0.01, 0.02)),
        "good": unit("good", good),
    }
    chain = Chain("main", (step("a"),), ("down", "good"), ("in",), egress=("out",))
    async with site(redis_url, chain, storages=units, longest_probe=PROBE) as it:
        uuids = await it.submit(*(vcon() for _ in range(200)))
        await until(lambda: it.replica.consumer.waiting("main") == 200)
        (breaker,) = it.replica.breakers.open_ones
        assert (breaker.name, breaker.error) == ("storage:down", "away")
        # The other one goes on, and egress comes after the last storage.
        assert set(good.vcons) == set(uuids)
        assert await it.popped() == []

        down.fail_with = None
        await everything_arrived(it, uuids)
        assert down.vcons == good.vcons
        assert Counter(name for batch in good.batches for name in batch) == Counter(uuids)
        assert it.replica.breakers.open_ones == []


async def test_at_the_cap_reading_stops(valkey_url: str) -> None:
    down = MemoryStorage()
    down.fail_with = OSError("no route")
    chain = Chain("main", (), ("s",), ("in",), egress=("out",), concurrency=5)
    units = {"s": unit("s", down)}
    async with site(valkey_url, chain, storages=units, longest_probe=PROBE, max_waiting=20) as it:
        uuids = await it.submit(*(vcon() for _ in range(100)))
        await until(lambda: it.replica.consumer.waiting("main") >= 20)
        await asyncio.sleep(0.2)
        depth = (await it.backend.stream.depth(["in"]))["in"]
        assert 20 <= depth.pending <= 25
        assert depth.waiting == 100 - depth.pending
        down.fail_with = None
        await everything_arrived(it, uuids)


async def test_a_link_whose_service_is_down_stops_its_chains_only(valkey_url: str) -> None:
    service = Service()
    service.down = Retryable("503")
    hook = step("hook", service, retry=RetryPolicy(9, 0.01, 0.02))
    stopped = Chain("main", (step("a"), hook), lists=("in",), egress=("out",), concurrency=10)
    healthy = Chain("healthy", (step("b"),), lists=("well",), egress=("fine",))
    async with site(valkey_url, stopped, healthy, longest_probe=PROBE) as it:
        uuids = await it.submit(*(vcon() for _ in range(100)))
        await until(lambda: it.replica.breakers.open_ones)
        await until(lambda: it.replica.consumer.inflight("main") == 0)
        others = await it.submit(*(vcon() for _ in range(20)), to="well")
        await it.settled("well")
        assert sorted(await it.popped("fine")) == sorted(others)
        # The queue waits: one trial at a time is all that leaves it.
        depth = (await it.backend.stream.depth(["in"]))["in"]
        assert depth.waiting > 50
        assert len(service.calls) < 60

        service.down = None
        await everything_arrived(it, uuids)
        assert it.replica.breakers.open_ones == []


async def test_trials_during_an_outage_do_not_count_as_attempts(valkey_url: str) -> None:
    service = Service()
    service.down = TimeoutError()
    chain = Chain(
        "main", (step("hook", service, retry=FAST),), lists=("in",), egress=("out",), concurrency=10
    )
    async with site(valkey_url, chain, longest_probe=0.01) as it:
        uuids = await it.submit(*(vcon() for _ in range(10)))
        # Many more calls than all attempts of all of them together.
        await until(lambda: len(service.calls) > 100)
        service.down = None
        await everything_arrived(it, uuids)


async def test_one_that_never_gets_through_does_not_stop_the_others(valkey_url: str) -> None:
    """It opens the breaker, for nobody else is there; a newcomer closes it; then it is its turn."""
    service = Service()
    service.poison = "poison"
    hook = step("hook", service, retry=RetryPolicy(6, 0.01, 0.02))
    chain = Chain("main", (hook,), lists=("in",), egress=("out",))
    async with site(valkey_url, chain, longest_probe=PROBE) as it:
        (poisoned,) = await it.submit(vcon(subject="poison"))
        await until(lambda: it.replica.breakers.open_ones)
        for _ in range(20):
            (uuid,) = await it.submit(vcon())
            await until(lambda uuid=uuid: uuid in service.calls)  # type: ignore[misc]
            if await it.dead():
                break
            await asyncio.sleep(0.05)
        await it.settled()
        (letter,) = await it.dead()
        assert (letter.uuid, letter.stage) == (poisoned, "link:hook")


async def test_a_refusal_shows_that_the_service_is_there(valkey_url: str) -> None:
    service = Service()
    service.down = Retryable("503")
    chain = Chain("main", (step("hook", service, retry=RetryPolicy(9, 0.01, 0.02)),), lists=("in",))
    async with site(valkey_url, chain, longest_probe=PROBE) as it:
        uuids = await it.submit(*(vcon() for _ in range(50)))
        await until(lambda: it.replica.breakers.open_ones)
        service.down = Permanent("400")
        await it.settled()
        assert it.replica.breakers.open_ones == []
        assert sorted(letter.uuid for letter in await it.dead()) == sorted(uuids)


async def test_redis_away_in_a_link_costs_no_attempt(valkey_url: str) -> None:
    service = Service()
    service.down = Unavailable("no Redis")
    chain = Chain("main", (step("save", service, retry=FAST),), lists=("in",), egress=("out",))
    async with site(valkey_url, chain) as it:
        uuids = await it.submit(*(vcon() for _ in range(5)))
        await until(lambda: len(service.calls) > 50)
        assert it.replica.breakers.open_ones == []
        service.down = None
        await everything_arrived(it, uuids)


async def test_a_bug_opens_nothing(valkey_url: str) -> None:
    service = Service()
    service.down = KeyError("a bug")
    chain = Chain("main", (step("hook", service, retry=FAST),), lists=("in",))
    async with site(valkey_url, chain) as it:
        uuids = await it.submit(*(vcon() for _ in range(30)))
        await it.settled()
        letters = await it.dead()
        assert sorted(letter.uuid for letter in letters) == sorted(uuids)
        assert {letter.attempts for letter in letters} == {3}


class Picky(MemoryStorage):
    """Fails for one vCon, in the way given."""

    def __init__(self, error: Callable[[str], Exception]) -> None:
        super().__init__()
        self.error = error

    async def put(self, vcons):  # type: ignore[no-untyped-def]
        bad = next((v.uuid for v in vcons if b"poison" in v.document), None)
        error = self.error(bad) if bad else None
        if error is None or isinstance(error, PartialFailure):
            await super().put([v for v in vcons if v.uuid != bad])
        if error:
            raise error


@pytest.mark.parametrize(
    "error",
    [
        lambda uuid: PartialFailure({uuid: Retryable("not this one")}),
        lambda uuid: PartialFailure({uuid: Permanent("never this one")}),
        lambda uuid: TypeError("a bug"),
    ],
)
async def test_one_that_a_storage_never_takes_dies_alone(
    valkey_url: str, error: Callable[[str], Exception]
) -> None:
    chain = Chain("main", (), ("s",), ("in",), egress=("out",))
    units = {"s": unit("s", Picky(error))}
    async with site(valkey_url, chain, storages=units, longest_probe=PROBE, start=False) as it:
        (bad,) = await it.submit(vcon(subject="poison"))
        good = await it.submit(*(vcon() for _ in range(20)))
        await it.replica.start()
        await until(lambda: len(it.memory["s"].vcons) == 20)
        while not await it.dead():
            good += await it.submit(vcon())
            await asyncio.sleep(0.02)
        await it.settled()
        (letter,) = await it.dead()
        assert (letter.uuid, letter.stage) == (bad, "storage:s")
        assert Counter(await it.popped()) == Counter(good)


async def test_parked_entries_outlive_their_replicas_and_do_not_crash(redis_url: str) -> None:
    """Replicas die four times, more than the poison limit, while the entries are parked."""
    storage = MemoryStorage()
    chain = Chain("main", (step("a"),), ("s",), ("in",), egress=("out",))
    uuids: list[str] = []
    for number in range(4):
        storage.fail_with = Retryable("away")
        units = {"s": unit("s", storage)}
        async with site(
            redis_url, chain, storages=units, name=f"r{number}", lease=0.4, longest_probe=PROBE
        ) as it:
            if not uuids:
                uuids = await it.submit(*(vcon() for _ in range(30)))
            await until(lambda it=it: it.replica.consumer.waiting("main") == 30)  # type: ignore[misc]
            # The end of a process: nothing is handed over, nothing is renewed any more.
            await it.replica._supervisor.stop("leases")
            it.replica.consumer._stream.hand_over = nothing  # type: ignore[method-assign]
    storage.fail_with = None
    async with site(
        redis_url, chain, storages={"s": unit("s", storage)}, name="last", lease=0.4
    ) as it:
        await everything_arrived(it, uuids)


async def nothing(*_: object) -> None:
    return None


async def test_a_deleted_vcon_is_removed_once_its_storage_is_back(valkey_url: str) -> None:
    storage = MemoryStorage()
    stored, leave = asyncio.Event(), asyncio.Event()

    async def pause(vcon: Vcon, run: LinkRun) -> Outcome:
        stored.set()
        await leave.wait()
        return CONTINUE

    first = Chain("first", (), ("s",), ("in",), egress=("next",))
    chain = Chain("main", (step("p", pause),), ("s",), ("next",))
    units = {"s": unit("s", storage)}
    async with site(valkey_url, first, chain, storages=units, longest_probe=PROBE) as it:
        (uuid,) = await it.submit(vcon())
        await stored.wait()
        storage.fail_with = Retryable("away")
        assert (await it.lookup.delete(uuid)).failed == {"s": "away"}
        leave.set()
        await until(lambda: it.replica.consumer.waiting("main") == 1)
        assert uuid in storage.vcons
        storage.fail_with = None
        await it.settled("in", "next")
        assert storage.vcons == {}
        assert await it.dead("next") == []


async def test_a_document_in_a_storage_that_is_down_is_waited_for(valkey_url: str) -> None:
    storage = MemoryStorage()
    chain = Chain("main", (step("a"),), ("s",), ("in",), egress=("out",))
    units = {"s": unit("s", storage, retry=ONCE)}
    async with site(valkey_url, chain, storages=units, longest_probe=PROBE) as it:
        (uuid,) = await it.submit(vcon())
        await everything_arrived(it, [uuid])
        client = it.backend.connections.commands
        storage.fail_with = Retryable("away")
        await client.execute_command("DEL", f"vcon:{uuid}")
        await client.execute_command("XADD", "vconflow:list:in", "*", "uuid", uuid, "at", "1")
        await until(lambda: it.replica.breakers.open_ones)
        await asyncio.sleep(0.1)
        assert await it.dead() == []
        storage.fail_with = None
        await everything_arrived(it, [uuid])


async def test_an_outage_is_told_although_the_next_probe_is_far_off(valkey_url: str) -> None:
    service = Service()
    service.down = Retryable("503", retry_after=3600)
    chain = Chain("main", (step("hook", service),), lists=("in",), egress=("out",))
    with structlog.testing.capture_logs() as lines:
        async with site(valkey_url, chain) as it:
            await it.submit(*(vcon() for _ in range(20)))
            told = {"breaker": "link:hook", "event": "breaker_opened"}
            await until(lambda: any(told.items() <= line.items() for line in lines))
            calls = len(service.calls)
            await asyncio.sleep(0.5)
            assert len(service.calls) == calls


# The breaker itself


def breaker(threshold: int = 3) -> tuple[Breakers, Breaker]:
    breakers = Breakers(threshold)
    return breakers, breakers.of("link:x")


def test_it_opens_after_so_many_outages_in_a_row() -> None:
    breakers, it = breaker()
    for _ in range(5):
        it.failed(Retryable("no"))
        it.failed(Retryable("no"))
        it.succeeded()
    assert not it.is_open
    for _ in range(3):
        it.admit()
        it.failed(Retryable("no", retry_after=7))
    assert breakers.open_ones == [it]
    assert it.retry_after == 7
    with pytest.raises(Paused, match="link:x is down: no"):
        it.admit()
    it.succeeded()
    it.admit()
    assert breakers.open_ones == []


async def test_a_trial_is_for_one_that_waits_and_for_a_new_one() -> None:
    breakers, it = breaker(1)
    it.failed(Retryable("no"))
    waiting = [asyncio.create_task(breakers.passage(["link:x"])) for _ in range(3)]
    await asyncio.sleep(0)
    assert breakers.allowance(["link:x"]) == 0
    waiting[0].cancel()
    await asyncio.sleep(0)
    it.grant()
    await asyncio.sleep(0)
    assert [task.done() for task in waiting] == [True, True, False]
    assert breakers.allowance(["link:x", "link:y"]) == 2
    it.admit()
    it.admit()
    with pytest.raises(Paused):
        it.admit()
    it.failed(Retryable("still no"))
    assert it.is_open
    it.succeeded()
    await waiting[2]


async def test_whoever_needs_several_goes_on_with_the_first_that_is_back() -> None:
    breakers, x = breaker(1)
    y = breakers.of("link:y")
    x.failed(Retryable("no"))
    y.failed(Retryable("no"))
    waiting = asyncio.create_task(breakers.passage(["link:x", "link:y"]))
    await asyncio.sleep(0)
    y.succeeded()
    await waiting
    await breakers.passage(["link:x", "link:y"])
    x.succeeded()


def test_without_anybody_to_try_it_it_closes_on_probation() -> None:
    breakers, it = breaker(3)
    it.trip()
    it.grant()
    assert breakers.open_ones == []
    it.failed(Retryable("no"))
    assert breakers.open_ones == [it]
