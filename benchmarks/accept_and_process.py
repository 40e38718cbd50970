"""Accepting and processing at the same time: how fast vCons may come without piling up."""

import asyncio
from collections.abc import AsyncIterator
from statistics import mean

import msgspec

from benchmarks.harness.cpu import CpuMeter
from benchmarks.harness.figures import Figure, Limit, Options, Sample, Target, compare
from benchmarks.harness.load import post_at
from benchmarks.harness.passage import (
    PATH,
    TAG,
    chain_config,
    completed,
    echoed,
    emptied,
    forget,
    settled,
    waiting,
)
from benchmarks.harness.processes import Service, echo, vconflow

__all__ = ["run"]

ECHO = "bare Starlette that echoes the body"
TARGET = Target(0.2)
UP, DOWN = 1.25, 0.85
"""The load is multiplied by one while no backlog grows, and by the other when one does."""
GROWTH = 0.02
"""A backlog grows when it gains more than this part of what came, and a few batches."""
BATCHES = 256
LOOKS = 8
SLACK_SECONDS = 0.1


async def run(options: Options) -> AsyncIterator[Figure]:
    """Measure the flow."""
    async with vconflow(chain_config(*TAG)) as service, echo() as server:

        async def limit(seconds: float) -> Sample:
            return await echoed(server, seconds, options)

        first = TARGET.bound * (await limit(options.seconds)).value
        ours = _SetRate(service, options, first)
        await ours.find(options.seconds)
        async for figure in compare(
            "accept_and_process", ours.window, Limit(ECHO, limit, TARGET), options=options
        ):
            note = f"backlog over the last window: {', '.join(map(str, ours.backlog))}"
            yield msgspec.structs.replace(figure, note=note)


class _SetRate:
    """Sends vCons at set times, `rate` of them per second, and looks at what is not done yet."""

    def __init__(self, service: Service, options: Options, rate: float) -> None:
        self.backlog: list[int] = []
        self._service = service
        self._options = options
        self._rate = rate

    async def find(self, seconds: float) -> None:
        """Set the highest rate at which the backlog does not grow."""
        await self._send(seconds)
        if await self._send(seconds):
            while await self._send(seconds):
                self._rate *= UP
            self._rate /= UP

    async def window(self, seconds: float) -> Sample:
        """The rate at which vCons came through; at a lower one if they pile up after all."""
        while (sample := await self._send(seconds)) is None:
            self._rate *= DOWN
            if self._rate < 1:
                raise RuntimeError("vCons pile up even at one per second")
        return sample

    async def _send(self, seconds: float) -> Sample | None:
        """One window; None if the backlog grew."""
        before, meter = await completed(self._service), CpuMeter(self._service.pids)
        looking = asyncio.create_task(self._look(seconds))
        load = await post_at(self._service.url, PATH, self._rate, seconds, self._options)
        self.backlog = await looking
        await emptied(self._service)
        cpu = meter.each(load.requests)
        await settled(self._service)
        done = await completed(self._service) - before
        if done != load.requests:
            raise RuntimeError(f"{load.requests} were accepted, but {done} came through")
        await forget(self._service)
        # What is taken too slowly piles up as well, only at the client.
        if load.seconds > seconds * (1 + GROWTH) + SLACK_SECONDS or self._grew(load.requests):
            return None
        rate = (done - self.backlog[-1]) / load.seconds
        return Sample(rate, load.p50_ms, load.p99_ms, cpu)

    async def _look(self, seconds: float) -> list[int]:
        looks = []
        for _ in range(LOOKS):
            await asyncio.sleep(seconds / LOOKS)
            looks.append(await waiting(self._service))
        return looks

    def _grew(self, number: int) -> bool:
        early, late = self.backlog[LOOKS // 4 : LOOKS // 2], self.backlog[-LOOKS // 4 :]
        return mean(late) - mean(early) > BATCHES + GROWTH * number
