"""What fails of a round of leases does not keep the rest from being done."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from vconflow.errors import Unavailable
from vconflow.pipeline.leases import Leases
from vconflow.pipeline.outage import Outage

LEASE = 3.0


class Trace:
    """A stream, a consumer and a clock: what was done, of which some steps fail."""

    def __init__(self, *failing: str) -> None:
        self.failing = failing
        self.done: list[str] = []
        self.rounds = 0
        self.time = 0.0

    async def step(self, name: str) -> list[Any]:
        self.done.append(name)
        if name in self.failing:
            raise Unavailable(name)
        return []

    async def sleep(self, seconds: float) -> None:
        self.rounds += 1
        self.time += seconds
        if self.rounds > 1:
            await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("failing", "done"),
    [
        ("", ["renew", "give_back", "take_over"]),
        ("give_back", ["renew", "give_back", "take_over"]),
        # Then nobody can renew, and what has run out may be that of living replicas.
        ("renew", ["renew"]),
    ],
)
async def test_a_round_of_leases(failing: str, done: list[str]) -> None:
    trace = Trace(failing)

    async def left(lists: Sequence[str]) -> Sequence[str]:
        return lists

    stream: Any = SimpleNamespace(
        renew=lambda _: trace.step("renew"),
        left=left,
        take_over=lambda *_: trace.step("take_over"),
    )
    consumer: Any = SimpleNamespace(
        owned=dict,
        give_back=lambda: trace.step("give_back"),
        claimable=lambda _: 1,
        dropped=lambda _: (),
        adopt=len,
    )
    chains: Any = SimpleNamespace(lists=("in",))
    clock: Any = SimpleNamespace(now=lambda: trace.time, sleep=trace.sleep)
    outage = Outage()
    leases = Leases(lambda: chains, stream, consumer, clock, outage, LEASE)
    running = asyncio.create_task(leases.run())
    async with asyncio.timeout(20):
        while trace.rounds < 2:
            await asyncio.sleep(0)
    running.cancel()
    assert trace.done == done
    with pytest.raises(asyncio.CancelledError):
        await running
