"""The other side lets through so many and refuses the rest for now: that makes no dead letters."""

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any

from pipeline_support import Site, site, step, unit, until, vcon

from vconflow.errors import Overloaded, Retryable, SourceAway, Throttled
from vconflow.model.vcon import Vcon
from vconflow.pipeline.breaker import Paused
from vconflow.pipeline.chain import Chain
from vconflow.pipeline.failure import Failures, storages_failed
from vconflow.pipeline.fanout import Fanout
from vconflow.pipeline.retry import RetryPolicy
from vconflow.pipeline.steps import StepFailed
from vconflow.ports.failures import joined
from vconflow.ports.ledger import Bury, Defer, Progress
from vconflow.ports.link import CONTINUE, LinkRun, Outcome
from vconflow.testing.memory_storage import MemoryStorage

QUICK = RetryPolicy(attempts=2, base=0.01, max=0.05)
COUNT = 200
DAY = 24 * 3600 * 1000


class Account:
    """Lets every fourth call through: never so few that a breaker opens."""

    def __init__(self) -> None:
        self.calls = 0
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def use(self, uuid: str) -> None:
        self.calls += 1
        if self.calls % 4:
            self.refused[uuid] += 1
            raise Throttled("status 429")
        self.done[uuid] += 1

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        await asyncio.sleep(0.001)
        self.use(str(vcon.uuid))
        return CONTINUE


class Limited(MemoryStorage):
    """A storage behind such an account."""

    account: Account

    async def put(self, vcons: Any) -> None:
        for one in vcons:
            self.account.use(one.uuid)
        await super().put(vcons)


async def carried(it: Site, uuids: list[str]) -> None:
    """All of them come out, and nothing else became of any."""
    await it.settled()
    assert await it.dead() == []
    assert set(await it.popped()) == set(uuids)


async def test_a_link_over_its_limit_makes_no_dead_letters(valkey_url: str) -> None:
    account = Account()
    chain = Chain("main", (step("ask", account, retry=QUICK),), lists=("in",), egress=("out",))
    async with site(valkey_url, chain) as it:
        uuids = await it.submit(*(vcon() for _ in range(COUNT)))
        await carried(it, uuids)
    # It did come to what used to end them.
    assert max(account.refused.values()) >= QUICK.attempts
    assert account.done == Counter(uuids)


async def test_a_storage_over_its_limit_makes_no_dead_letters(valkey_url: str) -> None:
    shelf = Limited()
    shelf.account = Account()
    units = {"shelf": unit("shelf", shelf, max_items=1, retry=QUICK)}
    chain = Chain("main", lists=("in",), storages=("shelf",), egress=("out",))
    async with site(valkey_url, chain, storages=units) as it:
        uuids = await it.submit(*(vcon() for _ in range(COUNT)))
        await carried(it, uuids)
    assert max(shelf.account.refused.values()) >= QUICK.attempts
    assert set(shelf.account.done) == set(uuids)


async def test_who_waits_for_the_limit_survives_the_end_of_the_replica(valkey_url: str) -> None:
    account = Account()
    chain = Chain("main", (step("ask", account, retry=QUICK),), lists=("in",), egress=("out",))
    async with site(valkey_url, chain, grace=0.0) as it:
        uuids = await it.submit(*(vcon() for _ in range(COUNT)))
        await until(lambda: account.refused.total() > COUNT // 2)
    assert len(account.done) < COUNT
    async with site(valkey_url, chain) as it:
        await carried(it, uuids)


def decided(progress: Progress, error: Exception, now: float, attempts: int = 2) -> Defer | Bury:
    clock: Any = SimpleNamespace(now=lambda: now)
    failures = Failures(Fanout({}), clock, random=lambda: 1.0)
    run: Any = SimpleNamespace(
        progress=progress,
        entry=SimpleNamespace(list="in", uuid="u"),
        chain=Chain("main", (step("ask", retry=RetryPolicy(attempts, base=1.0, max=300.0)),)),
        remember=lambda **changes: Progress(**{"next_link": "ask", **changes}),
    )
    return failures.decide(run, StepFailed("link:ask", error))


def failing_for(milliseconds: int, **changes: Any) -> tuple[Progress, float]:
    """Progress of one that was throttled first so long ago, and the time that is now."""
    first = 1_000_000
    since = {"first_failure": first, "last_failure": first, "throttled_since": first}
    before = Progress(**{"stage": "link:ask", "attempts": 1, **since, **changes})
    return before, (first + milliseconds) / 1000


def test_the_wait_grows_with_the_time_it_lasts() -> None:
    waits = []
    for seconds in (1, 10, 100, 1000, 10_000):
        before, now = failing_for(seconds * 1000)
        decision = decided(before, Throttled("status 429"), now)
        assert isinstance(decision, Defer)
        assert decision.progress.attempts == before.attempts
        waits.append(decision.progress.due / 1000 - now)
    assert all(
        seconds <= wait <= 2 * seconds for seconds, wait in zip((1, 10, 100), waits, strict=False)
    )
    assert waits[3:] == [300, 300]


def test_what_it_asks_for_is_waited_for() -> None:
    before, now = failing_for(1000)
    decision = decided(before, Throttled("status 429", retry_after=77), now)
    assert isinstance(decision, Defer)
    assert round(decision.progress.due / 1000 - now) == 77


def test_one_that_is_never_let_through_ends() -> None:
    before, now = failing_for(DAY - 1)
    assert isinstance(decided(before, Throttled("status 429"), now), Defer)
    before, now = failing_for(DAY)
    assert isinstance(decided(before, Throttled("status 429"), now), Bury)


def test_a_day_is_that_of_the_limit_alone() -> None:
    """What came before, another outage say, takes nothing away from it."""
    for changes in ({"throttled_since": 0}, {"stage": "link:other"}):
        before, now = failing_for(2 * DAY, **changes)
        decision = decided(before, Throttled("status 429"), now)
        assert isinstance(decision, Defer)
        assert decision.progress.throttled_since == round(now * 1000)
        assert decision.progress.due / 1000 - now <= 2
    before, now = failing_for(1000)
    decision = decided(before, Retryable("status 500"), now, attempts=5)
    assert isinstance(decision, Defer)
    assert decision.progress.throttled_since == 0
    assert before.afresh().throttled_since == 0


def test_other_failures_have_all_their_attempts_afterwards() -> None:
    before, now = failing_for(60_000, attempts=0)
    assert isinstance(decided(before, Retryable("status 500"), now), Defer)
    before, now = failing_for(60_000, attempts=1)
    assert isinstance(decided(before, Retryable("status 500"), now), Bury)


def test_it_stays_what_it_is_among_others() -> None:
    limit, busy, away = Throttled("a", retry_after=3), Overloaded("b"), SourceAway("c")
    assert type(joined([limit, busy], "both")) is Throttled
    assert type(joined([limit, away], "both")) is Retryable
    assert type(storages_failed({"a": limit, "b": Throttled("d")}).error) is Throttled
    assert type(storages_failed({"a": limit, "b": OSError("d")}).error) is Retryable
    # One that was not even asked says nothing.
    assert type(storages_failed({"a": limit, "b": Paused("d")}).error) is Throttled
    # What is done again with every attempt is done no more often than for other failures.
    assert type(joined([limit], "one of two", repeats=True)) is Retryable
