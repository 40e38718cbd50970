"""The death of a replica is counted only against what it was working on."""

import asyncio
from collections import Counter
from contextlib import AbstractAsyncContextManager

from pipeline_support import Site, site, step, vcon
from trouble_support import killed

from vconflow.model.vcon import Vcon
from vconflow.pipeline.chain import Chain
from vconflow.pipeline.retry import RetryPolicy
from vconflow.ports.link import CONTINUE, LinkRun, Outcome

LEASE = 0.6
FOR_EVER = 3600.0


class Deadly:
    """A link in which a poisoned vCon hangs until its replica is killed.

    The first life hangs with all of them. Later the innocent fail a few times, without an outage:
    their retries are due long before their turn comes again.
    """

    def __init__(self) -> None:
        self.running: set[str] = set()
        self.deaths: Counter[str] = Counter()
        self.life = 0
        self.poisoned = asyncio.Event()
        self._tries: Counter[str] = Counter()

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        self.running.add(vcon.uuid)
        try:
            return await self._work(vcon)
        finally:
            self.running.discard(vcon.uuid)

    async def _work(self, vcon: Vcon) -> Outcome:
        if vcon.subject == "poison":
            self.poisoned.set()
        if self.life == 0 or vcon.subject == "poison":
            await asyncio.sleep(FOR_EVER)
        await asyncio.sleep(0.2 if self.life == 1 else 0.02)
        self._tries[vcon.uuid] += 1
        if self._tries[vcon.uuid] <= 8:
            raise ValueError("not yet")
        return CONTINUE

    def end_of_life(self) -> None:
        """Note what ran at the moment of a death."""
        self.deaths.update(self.running)
        self._tries.clear()
        self.poisoned.clear()
        self.life += 1


def replica(url: str, link: Deadly) -> AbstractAsyncContextManager[Site]:
    """The next life of the replica, under a name of its own."""
    retry = RetryPolicy(attempts=10**6, base=0.02, max=0.04)
    chain = Chain("main", (step("l", link, retry=retry),), (), ("in",), egress=("out",))
    return site(url, chain, name=f"life{link.life}", lease=LEASE, grace=0)


async def dies(it: Site, link: Deadly) -> None:
    """Kill a replica in the midst of the poisoned one, while the others wait for their turn."""
    async with asyncio.timeout(30):
        await link.poisoned.wait()
    await asyncio.sleep(0.5)
    link.end_of_life()
    await killed(it)


async def test_a_due_retry_that_waits_for_its_turn_is_not_at_fault(valkey_url: str) -> None:
    link = Deadly()
    async with replica(valkey_url, link) as it:
        good = await it.submit(*(vcon() for _ in range(20)))
        (bad,) = await it.submit(vcon(subject="poison"))
        await dies(it, link)
    for _ in range(2):
        async with replica(valkey_url, link) as it:
            await dies(it, link)
    async with replica(valkey_url, link) as it:
        await it.settled()
        assert {letter.uuid: link.deaths[letter.uuid] for letter in await it.dead()} == {bad: 3}
        assert sorted(await it.popped()) == sorted(good)
