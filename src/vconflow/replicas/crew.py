"""As many replicas as are wanted, more or fewer of them while they run."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vconflow.errors import Unavailable
from vconflow.replicas.keeper import Keeper
from vconflow.replicas.launch import Launch
from vconflow.replicas.metrics import merged
from vconflow.telemetry import events
from vconflow.telemetry.metrics import own_metrics

__all__ = ["METRICS_SECONDS", "Crew", "open_crew"]

METRICS_SECONDS = 2.0
"""How long one replica may take to say its metrics."""
MOST_FAILED_STARTS = 5
"""Processes in a row that were never ready, after which there is no point in another."""


class Crew:
    """`all_ready` is set when the first replicas serve, `failed` when there is no hope of any."""

    def __init__(self, launch: Launch) -> None:
        self.all_ready = asyncio.Event()
        self.failed = asyncio.Event()
        self.trouble = ""
        self._launch = launch
        self._keepers: dict[int, Keeper] = {}
        self._leaving: dict[int, Keeper] = {}
        self._tasks: dict[Keeper, asyncio.Task[bool]] = {}

    def add(self) -> None:
        """One more."""
        self.start_one()
        events.replicas_resized(len(self._keepers))

    def start_one(self) -> None:
        """Start one. It takes the lowest number that is free: names stay, and with them work."""
        taken = self._keepers.keys() | self._leaving.keys()
        number = next(number for number in itertools.count(1) if number not in taken)
        name = f"{self._launch.name}.{number}"
        keeper = self._keepers[number] = Keeper(name, self._launch, self.metrics, self._changed)
        task = self._tasks[keeper] = asyncio.create_task(keeper.keep(), name=name)
        task.add_done_callback(lambda done: self._gone(number, keeper, done))
        self._count()

    def remove(self) -> None:
        """One less, the last that came. The only one stays."""
        if len(self._keepers) > 1:
            number, keeper = self._keepers.popitem()
            self._leaving[number] = keeper
            events.replicas_resized(len(self._keepers))
            self._count()
            keeper.leave()

    def read_file_again(self) -> None:
        """Have all read the configuration file."""
        for keeper in self._keepers.values():
            keeper.read_file_again()

    async def metrics(self) -> bytes:
        """The metrics of all, and of this process; without those of one that does not answer."""
        keepers = [keeper for keeper in self._all if keeper.is_ready]
        told = await asyncio.gather(*map(_told, keepers))
        texts = {keeper.name: text for keeper, text in zip(keepers, told, strict=True) if text}
        return merged(texts | {"supervisor": await own_metrics()})

    async def stop(self) -> bool:
        """Have all finish what they have and end; whether all went in order."""
        for keeper in self._all:
            keeper.stop()
        ends = await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        return all(end is True for end in ends)

    async def kill(self) -> None:
        """End whatever still runs."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    @property
    def _all(self) -> list[Keeper]:
        return [*self._keepers.values(), *self._leaving.values()]

    def _changed(self) -> None:
        self._count()
        if self._keepers and all(keeper.is_ready for keeper in self._keepers.values()):
            self.all_ready.set()
        # What does not even start at first does not get better: somebody is looking now.
        most = MOST_FAILED_STARTS if self.all_ready.is_set() else 1
        if self.all_ready.is_set() and any(keeper.is_ready for keeper in self._all):
            return
        for keeper in self._keepers.values():
            if keeper.failed_starts >= most:
                often = f" {keeper.failed_starts} times in a row" if most > 1 else ""
                self._fail(
                    f"replica {keeper.name} ended{often} before it was ready ({keeper.last_end})"
                )

    def _fail(self, trouble: str) -> None:
        self.trouble = trouble
        self.failed.set()

    def _count(self) -> None:
        ready = sum(keeper.is_ready for keeper in self._keepers.values())
        events.replicas_counted(len(self._keepers), ready)

    def _gone(self, number: int, keeper: Keeper, done: "asyncio.Task[bool]") -> None:
        del self._tasks[keeper]
        self._keepers.pop(number, None)
        self._leaving.pop(number, None)
        if not done.cancelled() and (error := done.exception()):
            events.unhandled(keeper.name, error)
            self._fail(f"nobody looks after replica {keeper.name} any more")


async def _told(keeper: Keeper) -> bytes:
    try:
        return await keeper.metrics(METRICS_SECONDS)
    except Unavailable:
        events.replica_metrics_missing(keeper.name)
        return b""


@asynccontextmanager
async def open_crew(launch: Launch, wanted: int) -> AsyncIterator[Crew]:
    """Start so many replicas; none is left at the end."""
    crew = Crew(launch)
    try:
        for _ in range(wanted):
            crew.start_one()
        yield crew
    finally:
        await crew.kill()
