"""Whose turn it is after a crash."""

import asyncio

from vconflow.pipeline.suspects import Suspects


class Crowd:
    """Entries that run until they are told to end."""

    def __init__(self, limit: int = 3) -> None:
        self.suspects = Suspects(limit)
        self.running: list[str] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def add(self, crashes: int, *names: str) -> None:
        for name in names:
            self._ends[name] = asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._run(name, crashes))
        await _settle()

    async def end(self, *names: str) -> None:
        for name in names:
            self._ends[name].set()
        await _settle()

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        await asyncio.gather(self._tasks[name], return_exceptions=True)
        await _settle()

    async def _run(self, name: str, crashes: int) -> None:
        async with self.suspects.turn(crashes):
            self.running.append(name)
            try:
                await self._ends[name].wait()
            finally:
                self.running.remove(name)


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_entries_without_a_crash_and_those_that_are_dead_do_not_wait() -> None:
    crowd = Crowd()
    await crowd.add(0, "a", "b")
    await crowd.add(3, "c")
    assert crowd.running == ["a", "b", "c"]


async def test_more_run_at_once_with_every_one_that_gets_through() -> None:
    crowd = Crowd()
    await crowd.add(1, *"abcdefg")
    assert crowd.running == ["a"]
    await crowd.end("a")
    assert crowd.running == ["b", "c"]
    await crowd.end("b", "c")
    assert crowd.running == ["d", "e", "f", "g"]
    assert crowd.suspects.waiting == 0


async def test_one_on_its_last_chance_runs_alone_and_after_the_others() -> None:
    crowd = Crowd()
    await crowd.add(2, "x", "y")
    assert crowd.running == ["x"]
    await crowd.add(1, "a", "b", "c")
    await crowd.end("x")
    assert crowd.running == ["a", "b"]
    await crowd.end("a")
    assert crowd.running == ["b", "c"]
    await crowd.end("b")
    assert crowd.running == ["c"]
    await crowd.end("c")
    assert crowd.running == ["y"]
    await crowd.add(1, "d")
    assert crowd.running == ["y"]
    await crowd.end("y")
    assert crowd.running == ["d"]


async def test_those_that_come_back_together_are_compared_first() -> None:
    crowd = Crowd()
    first = asyncio.create_task(crowd.add(2, "x"))
    await crowd.add(1, "a")
    await first
    assert crowd.running == ["a"]


async def test_a_cancelled_one_gives_its_turn_on() -> None:
    crowd = Crowd()
    await crowd.add(1, "a", "b", "c")
    await crowd.cancel("b")
    await crowd.cancel("a")
    assert crowd.running == ["c"]
    await crowd.end("c")
    await crowd.add(2, "d")
    assert crowd.running == ["d"]
