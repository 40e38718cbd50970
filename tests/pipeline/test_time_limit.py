"""The time limit of links: nothing of a coroutine may tell that it was begun before its timer."""

import asyncio
from collections.abc import Awaitable

import pytest

from vconflow.pipeline import time_limit
from vconflow.pipeline.time_limit import within

LONG, SHORT = 30.0, 0.02


async def at_once() -> str:
    return "done"


async def test_what_does_not_wait_sets_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(when: float | None) -> asyncio.Timeout:
        raise AssertionError("a timer was made")

    monkeypatch.setattr(asyncio, "timeout_at", refuse)
    assert await within(LONG, at_once()) == "done"

    async def fail() -> None:
        raise KeyError("own")

    with pytest.raises(KeyError, match="own"):
        await within(LONG, fail())


async def test_results_and_errors_come_through_waits() -> None:
    async def wait(times: int) -> int:
        for _ in range(times):
            await asyncio.sleep(0)
        found = await asyncio.gather(asyncio.sleep(0.001, 1), asyncio.to_thread(len, "ab"))
        return sum(found)

    async def fail() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, ValueError("from below"))
        await future

    assert [await within(LONG, wait(times)) for times in range(3)] == [3, 3, 3]
    with pytest.raises(ValueError, match="from below"):
        await within(LONG, fail())


async def test_a_future_is_awaited_like_a_coroutine() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, 7)
    assert await within(LONG, future) == 7
    never: Awaitable[int] = asyncio.get_running_loop().create_future()
    with pytest.raises(TimeoutError):
        await within(SHORT, never)


async def test_the_limit_ends_any_wait_and_lets_the_coroutine_clean_up() -> None:
    steps = []

    async def hang() -> None:
        await asyncio.sleep(0)
        try:
            await asyncio.sleep(LONG)
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned")

    with pytest.raises(TimeoutError):
        await within(SHORT, hang())
    assert steps == ["cleaned"]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_long_limits_share_a_timer_and_end_soon_after_their_time() -> None:
    loop, ended = asyncio.get_running_loop(), []

    async def hang(seconds: float) -> None:
        began = loop.time()
        with pytest.raises(TimeoutError):
            await within(seconds, asyncio.sleep(LONG))
        ended.append((seconds, loop.time() - began))

    tasks = [hang(1 + number / 1000) for number in range(100)]
    quick = [within(1.05, asyncio.sleep(0.001, number)) for number in range(100)]
    assert await asyncio.gather(*quick) == list(range(100))
    bells = time_limit._bells[loop]
    gathering = asyncio.gather(*tasks, within(600.0, asyncio.sleep(0.001)))
    await asyncio.sleep(0)
    assert 1 <= len(bells) <= 5
    await gathering
    # A long limit is kept by a bell that only rings.
    assert len(bells) == 1
    assert [pair for pair in ended if pair[1] < pair[0]] == []
    assert len(ended) == 100


async def test_time_spent_before_the_first_wait_counts() -> None:
    async def busy() -> str:
        end = asyncio.get_running_loop().time() + 2 * SHORT
        while asyncio.get_running_loop().time() < end:
            pass
        await asyncio.sleep(LONG)
        return "never"

    async with asyncio.timeout(LONG / 2):
        with pytest.raises(TimeoutError):
            await within(SHORT, busy())


async def test_time_limits_inside_keep_their_meaning() -> None:
    async def gives_up() -> str:
        try:
            async with asyncio.timeout(SHORT):
                await asyncio.sleep(LONG)
        except TimeoutError:
            await asyncio.sleep(0)
        return "went on"

    async def patient() -> None:
        async with asyncio.timeout(LONG):
            await asyncio.sleep(LONG)

    assert await within(LONG, gives_up()) == "went on"
    with pytest.raises(TimeoutError):
        await within(SHORT, patient())


async def test_a_task_that_is_cancelled_ends_as_cancelled() -> None:
    seen = []

    async def hang() -> None:
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    task = asyncio.create_task(within(LONG, hang()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled"]


async def test_a_coroutine_may_outlive_a_cancellation_as_ever() -> None:
    async def stubborn() -> str:
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "stayed"

    task = asyncio.create_task(within(LONG, stubborn()))
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "stayed"


async def test_a_task_that_is_thrown_away_closes_the_coroutine() -> None:
    closed = []

    async def hang() -> None:
        try:
            await asyncio.sleep(LONG)
        finally:
            closed.append(True)

    waiting = within(LONG, hang())

    async def begin() -> None:
        waiting.send(None)

    await begin()
    waiting.close()
    assert closed == [True]
