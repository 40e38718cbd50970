"""A full list, and how fast a chain of a real server empties it."""

import asyncio
import time
from dataclasses import dataclass

from benchmarks.harness.cpu import CpuMeter
from benchmarks.harness.figures import Sample
from benchmarks.harness.passage import below, completed, fill, forget, settled, switch
from benchmarks.harness.processes import Service

__all__ = ["Drain"]


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
        while left := await below(self.service, left):
            if len(moments) == 1:
                moments.append(self._moment(left))
            # To look all the time would take a twentieth of a core away from what is measured.
            started, _, first = moments[-1]
            rate = (first - left) / (time.perf_counter() - started)
            await asyncio.sleep(left / rate / 2 if rate else 0)
        started, meter, first = moments[-1]
        return Sample(first / (time.perf_counter() - started), cpu=meter.each(first))

    def _moment(self, left: int) -> tuple[float, CpuMeter, int]:
        return time.perf_counter(), CpuMeter(self.service.pids), left
