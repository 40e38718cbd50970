"""Group commit: what goes into a batch, and what is flushed at the same time."""

import asyncio
from collections.abc import Sequence

import pytest

from vconflow.errors import Overloaded, Retryable
from vconflow.pipeline.batcher import Batcher


class Recorder:
    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def flush(self, items: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(items))
        await self.gate.wait()
        return [ValueError(str(item)) if item < 0 else item * 2 for item in items]


async def begun() -> None:
    """Let workers that were just made take their first batch."""
    for _ in range(3):
        await asyncio.sleep(0)


def sizes(recorder: Recorder) -> list[int]:
    return list(map(len, recorder.batches))


async def one_after_the_other(batcher: Batcher[int, int], start: int) -> None:
    """Fifty numbers, each when the one before it is done."""
    for number in range(start, start + 50):
        assert await batcher.submit(number) == number * 2


async def test_calls_that_arrive_during_a_flush_share_the_next_one() -> None:
    recorder = Recorder()
    batcher: Batcher[int, int] = Batcher(recorder.flush, max_items=4)
    recorder.gate.clear()
    first = batcher.submit(1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = [batcher.submit(number) for number in range(2, 8)]
    await asyncio.sleep(0)
    recorder.gate.set()
    assert [await task for task in [first, *rest]] == [2, 4, 6, 8, 10, 12, 14]
    assert recorder.batches == [[1], [2, 3, 4, 5], [6, 7]]


async def test_batches_are_bounded_by_bytes_and_a_large_item_goes_alone() -> None:
    recorder = Recorder()
    batcher: Batcher[int, int] = Batcher(recorder.flush, max_bytes=10, size_of=abs)
    assert await asyncio.gather(*map(batcher.submit, (4, 5, 3, 50, 1))) == [8, 10, 6, 100, 2]
    assert recorder.batches == [[4, 5], [3], [50], [1]]


async def test_what_a_partial_flush_leaves_comes_again_in_order() -> None:
    batches: list[list[int]] = []

    async def three(items: Sequence[int]) -> list[int]:
        batches.append(list(items))
        return [item * 2 for item in items[:3]]

    batcher: Batcher[int, int] = Batcher(three, partial=True)
    assert await asyncio.gather(*map(batcher.submit, range(8))) == [n * 2 for n in range(8)]
    assert batches == [[*range(8)], [*range(3, 8)], [6, 7]]


async def test_a_failing_item_fails_alone_and_a_failing_flush_fails_all() -> None:
    recorder = Recorder()
    batcher: Batcher[int, int] = Batcher(recorder.flush)
    results = await asyncio.gather(*map(batcher.submit, (1, -1, 2)), return_exceptions=True)
    assert [type(result) for result in results] == [int, ValueError, int]

    async def broken(items: Sequence[int]) -> list[int | Exception]:
        raise Retryable("away")

    failing: Batcher[int, int] = Batcher(broken)
    results = await asyncio.gather(*map(failing.submit, (1, 2)), return_exceptions=True)
    assert [type(result) for result in results] == [Retryable, Retryable]


async def test_who_gives_up_while_waiting_is_left_out() -> None:
    recorder = Recorder()
    batcher: Batcher[int, int] = Batcher(recorder.flush)
    recorder.gate.clear()
    tasks = [batcher.submit(1)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    tasks += [batcher.submit(number) for number in (2, 3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[1].cancel()
    await asyncio.gather(*tasks[:2], return_exceptions=True)
    recorder.gate.set()
    assert await tasks[2] == 6
    await batcher.drain()
    assert recorder.batches == [[1], [3]]


async def test_too_much_waiting_is_refused() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher: Batcher[int, int] = Batcher(recorder.flush, size_of=abs, max_waiting_bytes=10)
    tasks = [batcher.submit(100)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    tasks += [batcher.submit(5) for _ in range(2)]
    with pytest.raises(Overloaded):
        batcher.submit(5)
    await asyncio.sleep(0)
    recorder.gate.set()
    assert await asyncio.gather(*tasks) == [200, 10, 10]


async def test_an_item_that_comes_when_the_worker_is_ending_is_not_forgotten() -> None:
    recorder = Recorder()
    batcher: Batcher[int, int] = Batcher(recorder.flush)

    async with asyncio.timeout(20):
        await asyncio.gather(*(one_after_the_other(batcher, start) for start in range(0, 500, 50)))


async def test_level_batches_share_what_is_there() -> None:
    """A third each: for two that are flushed, and one that gathers meanwhile."""
    recorder = Recorder()
    recorder.gate.clear()
    batcher: Batcher[int, int] = Batcher(recorder.flush, parallel=2, level=True)
    results = [batcher.submit(number) for number in range(90)]
    await begun()
    assert sizes(recorder) == [30, 30]
    recorder.gate.set()
    assert await asyncio.gather(*results) == [number * 2 for number in range(90)]
    assert sum(sizes(recorder)) == 90


async def test_a_few_items_are_not_worth_another_level_batch() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher: Batcher[int, int] = Batcher(recorder.flush, parallel=2, level=True)
    results = [batcher.submit(0)]
    await begun()
    results += [batcher.submit(number) for number in range(1, 16)]
    await begun()
    assert sizes(recorder) == [1]  # fifteen wait for it
    results.append(batcher.submit(16))
    await begun()
    assert sizes(recorder) == [1, 16]
    results.append(batcher.submit(17))
    await begun()
    assert sizes(recorder) == [1, 16]
    recorder.gate.set()
    assert await asyncio.gather(*results) == [number * 2 for number in range(18)]


async def test_what_would_be_left_is_taken_along() -> None:
    """Less than what is worth a batch would wait for the others to no purpose."""
    recorder = Recorder()
    recorder.gate.clear()
    batcher: Batcher[int, int] = Batcher(recorder.flush, parallel=2, level=True)
    results = [batcher.submit(number) for number in range(31)]
    await begun()
    assert sizes(recorder) == [31]
    recorder.gate.set()
    await asyncio.gather(*results)


async def test_level_batches_forget_nobody() -> None:
    """However many come, and whenever: of workers that end at the same time one goes on."""
    running, most, largest = 0, 0, 0

    async def flush(items: Sequence[int]) -> list[int]:
        nonlocal running, most, largest
        running += 1
        most, largest = max(most, running), max(largest, len(items))
        for _ in range(len(items) % 3):
            await asyncio.sleep(0)
        running -= 1
        return [item * 2 for item in items]

    batcher: Batcher[int, int] = Batcher(flush, parallel=3, level=True, max_items=40)

    async with asyncio.timeout(20):
        await asyncio.gather(*(one_after_the_other(batcher, start) for start in range(0, 5000, 50)))
    assert most == 3
    assert largest <= 40


async def test_items_of_one_key_are_flushed_in_their_order() -> None:
    """Also when there is room beside; those behind wait with them."""
    recorder = Recorder()
    recorder.gate.clear()
    batcher: Batcher[int, int] = Batcher(
        recorder.flush, parallel=2, max_items=2, key_of=lambda item: item % 10
    )
    results = [batcher.submit(number) for number in (1, 2)]
    await begun()
    results += [batcher.submit(number) for number in (3, 11, 4, 5)]
    await begun()
    assert recorder.batches == [[1, 2], [3]]
    recorder.gate.set()
    assert await asyncio.gather(*results) == [2, 4, 6, 22, 8, 10]
    assert recorder.batches == [[1, 2], [3], [11, 4], [5]]


async def test_a_key_under_way_makes_no_worker_that_ends_at_once() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher: Batcher[int, int] = Batcher(recorder.flush, parallel=2, key_of=lambda _: "same")
    results = [batcher.submit(0)]
    await begun()
    before = len(asyncio.all_tasks())
    results += [batcher.submit(number) for number in range(1, 50)]
    assert len(asyncio.all_tasks()) == before
    recorder.gate.set()
    assert await asyncio.gather(*results) == [number * 2 for number in range(50)]
    assert sizes(recorder) == [1, 49]


async def test_items_of_one_key_may_share_a_batch() -> None:
    recorder = Recorder()
    batcher: Batcher[int, int] = Batcher(recorder.flush, parallel=2, key_of=lambda item: item % 10)
    assert await asyncio.gather(*map(batcher.submit, (1, 11, 21))) == [2, 22, 42]
    assert recorder.batches == [[1, 11, 21]]


async def test_a_key_is_free_again_after_a_flush_that_failed() -> None:
    fails = [True, False]

    async def flush(items: Sequence[int]) -> list[int]:
        await asyncio.sleep(0)
        if fails.pop(0):
            raise Retryable("away")
        return list(items)

    batcher: Batcher[int, int] = Batcher(flush, parallel=2, max_items=1, key_of=lambda _: "same")
    first, second = batcher.submit(1), batcher.submit(2)
    async with asyncio.timeout(5):
        results = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(result) for result in results] == [Retryable, int]


async def test_one_key_is_never_flushed_twice_at_a_time() -> None:
    under_way: set[int] = set()
    order: dict[int, list[int]] = {}

    async def flush(items: Sequence[int]) -> list[int]:
        keys = {item % 7 for item in items}
        assert not keys & under_way
        under_way.update(keys)
        await asyncio.sleep(0.0001 * (len(items) % 3))
        for item in items:
            order.setdefault(item % 7, []).append(item)
        under_way.difference_update(keys)
        return list(items)

    batcher: Batcher[int, int] = Batcher(
        flush, parallel=3, max_items=5, key_of=lambda item: item % 7
    )
    results = []
    for number in range(500):
        results.append(batcher.submit(number))
        if not number % 11:
            await asyncio.sleep(0)
    async with asyncio.timeout(20):
        assert await asyncio.gather(*results) == list(range(500))
    assert all(held == sorted(held) for held in order.values())


async def test_stopped_nobody_waits_for_a_result_any_more() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher: Batcher[int, int] = Batcher(recorder.flush, max_items=1)
    under_way, waiting = batcher.submit(1), batcher.submit(2)
    await begun()
    await batcher.stop()
    assert under_way.cancelled()
    assert waiting.cancelled()
    recorder.gate.set()
    assert await batcher.submit(3) == 6
    assert recorder.batches == [[1], [3]]
