"""What one vCon points to is away: nobody else waits for it."""

import asyncio
from collections import Counter

from pipeline_support import Site, site, step, until, vcon

from vconflow.errors import Permanent, Retryable, SourceAway
from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.pipeline.retry import RetryPolicy
from vconflow.ports.failures import joined, located
from vconflow.ports.link import CONTINUE, LinkRun, Outcome

QUICK = RetryPolicy(attempts=3, base=0.01, max=0.02)


class Recordings:
    """A link that fetches; what `away` names is not there."""

    def __init__(self, *away: str) -> None:
        self.away = set(away)
        self.tries: Counter[str] = Counter()

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        subject = str(vcon.subject)
        self.tries[subject] += 1
        await asyncio.sleep(0.001)
        if subject in self.away:
            raise SourceAway(f"GET http://{subject}: ConnectError")
        return CONTINUE


def chain_of(link: Recordings) -> Chain:
    return Chain("main", (step("fetch", link, retry=QUICK),), lists=("in",), egress=("out",))


async def send(it: Site, *subjects: str) -> list[str]:
    return await it.submit(*(vcon(subject=subject) for subject in subjects))


async def test_dead_urls_hold_up_nobody_and_are_given_up(valkey_url: str) -> None:
    link = Recordings("dead")
    # A breaker that opened would not be probed within this test.
    async with site(valkey_url, chain_of(link), longest_probe=3600) as it:
        dead = await send(it, *["dead"] * 20)
        await until(lambda: link.tries["dead"] > 20)
        async with asyncio.timeout(30):
            while len(await it.dead()) < 20:
                await send(it, "good")
                await asyncio.sleep(0.01)
            await it.settled()
        assert {letter.uuid for letter in await it.dead()} == set(dead)
        assert len(await it.popped()) == link.tries["good"]
        assert it.replica.breakers.of("link:fetch").openings == 0


async def test_an_outage_of_all_of_them_makes_no_dead_letters(valkey_url: str) -> None:
    names = [f"host{number}" for number in range(20)]
    link = Recordings(*names)
    async with site(valkey_url, chain_of(link)) as it:
        uuids = await send(it, *names)
        await until(lambda: min(link.tries[name] for name in names) > 2 * QUICK.attempts)
        link.away.clear()
        await it.settled()
        assert await it.dead() == []
        assert Counter(await it.popped()) == Counter(uuids)


def test_it_stays_what_it_is_among_others() -> None:
    away, busy, bad = SourceAway("a", retry_after=3), Retryable("b"), Permanent("c")
    assert type(located(away, "dialog[0]")) is SourceAway
    assert type(joined([away, bad], "both")) is SourceAway
    assert type(joined([away, busy], "both")) is Retryable
    assert isinstance(failure := joined([away, away], "both"), Retryable)
    assert failure.retry_after == 3
