"""A full list, and how fast a chain of a real server empties it."""

import asyncio
import time
from dataclasses import dataclass

from benchmarks.harness.cpu import CpuMeter
from benchmarks.harness.figures import Sample
from benchmarks.harness.passage import completed, fill, forget, settled, switch, waiting
from benchmarks.harness.processes import Service

__all__ = ["Drain"]

_LOOK_SECONDS = 0.005
_PATIENCE_SECONDS = 60.0


@dataclass
class Drain:
    """Fills and drains; `rate` is how many per second it expects, which it learns as it goes.

    A window takes at least `least` vCons, so that it is more than a few batches.
    """

    service: Service
    rate: float = 3000.0
    least: int = 256

    async def window(self, seconds: float) -> Sample:
        """The rate from the first vCon that is through to the last, at a list for so long."""
        number = max(self.least, int(seconds * self.rate))
        await switch(self.service, "pause")
        before = await completed(self.service)
        await fill(self.service, number)
        sample = await self._watch(number)
        await settled(self.service)
        done = await completed(self.service) - before
        if done != number:
            raise RuntimeError(f"{number} were on the list, {done} came through")
        await forget(self.service)
        self.rate = sample.value
        return sample

    async def _watch(self, number: int) -> Sample:
        # From the first that is gone, if there is more to be seen than that all are.
        moments = [self._moment(number)]
        await switch(self.service, "resume")
        left = number
        while left:
            left = await self._less_than(left)
            if left and len(moments) == 1:
                moments.append(self._moment(left))
        started, meter, first = moments[-1]
        return Sample(first / (time.perf_counter() - started), cpu=meter.each(first))

    def _moment(self, left: int) -> tuple[float, CpuMeter, int]:
        return time.perf_counter(), CpuMeter(self.service.pids), left

    async def _less_than(self, number: int) -> int:
        give_up = time.perf_counter() + _PATIENCE_SECONDS
        while (left := await waiting(self.service)) >= number:
            if time.perf_counter() > give_up:
                raise RuntimeError(f"nothing moves any more, {left} are on the list")
            await asyncio.sleep(_LOOK_SECONDS)
        return left
