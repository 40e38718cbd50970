"""The small parts of the pipeline, each for itself."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vconflow.errors import PartialFailure, Permanent, Retryable, Unavailable
from vconflow.pipeline.cancelling import cancel_all
from vconflow.pipeline.failure import storages_failed
from vconflow.pipeline.retry import RetryPolicy, is_retryable
from vconflow.pipeline.returns import Returns
from vconflow.pipeline.slots import Slots
from vconflow.pipeline.supervisor import supervised
from vconflow.ports.stream import EntryStream


@given(
    attempt=st.integers(1, 10_000),
    base=st.floats(0.001, 100),
    most=st.floats(0.001, 1000),
    chance=st.floats(0, 1),
    asked=st.none() | st.floats(0, 100),
)
def test_delays_are_bounded_and_honour_what_the_other_side_asks(
    attempt: int, base: float, most: float, chance: float, asked: float | None
) -> None:
    policy = RetryPolicy(base=base, max=most)
    delay = policy.delay(attempt, Retryable("x", retry_after=asked), lambda: chance)
    assert (asked or 0) <= delay <= max(most, asked or 0)
    assert delay <= max(base * 2 ** min(attempt - 1, 32), asked or 0)


def test_what_may_be_tried_again() -> None:
    assert all(map(is_retryable, (Retryable("x"), OSError(), KeyError(), TimeoutError())))
    assert not any(map(is_retryable, (Permanent("x"), SystemExit(), PartialFailure({}))))


def test_an_outage_outranks_a_refusal() -> None:
    failed = storages_failed({"b": Permanent("no"), "a": Retryable("away", retry_after=9)})
    assert (failed.stage, str(failed.error)) == ("storage:a,b", "a: away; b: no")
    assert isinstance(failed.error, Retryable)
    assert failed.error.retry_after == 9
    assert isinstance(storages_failed({"b": Permanent("no")}).error, Permanent)


class LostAnswers:
    """A stream whose answer to `hand_over` is lost in the end."""

    def __init__(self) -> None:
        self.given: list[dict[str, list[str]]] = []
        self.lost = asyncio.Event()
        self.is_away = True

    async def hand_over(self, owned: Mapping[str, Sequence[str]]) -> None:
        self.given.append({name: list(ids) for name, ids in owned.items()})
        if self.is_away:
            await self.lost.wait()
            raise Unavailable("no answer")


async def test_what_came_back_before_the_answer_was_lost_is_not_given_up_again() -> None:
    stream = LostAnswers()
    returns = Returns(cast("EntryStream", stream))
    for entry in ("1-0", "2-0"):
        returns.add("in", entry)
    sending = asyncio.create_task(returns.send())
    await asyncio.sleep(0)
    returns.take_back("in", "1-0")
    stream.lost.set()
    with pytest.raises(Unavailable):
        await sending
    stream.is_away = False
    await returns.send()
    assert stream.given == [{"in": ["1-0", "2-0"]}, {"in": ["2-0"]}]


async def test_slots_go_first_to_those_who_wait() -> None:
    freed: list[int] = []
    slots = Slots(3, lambda: freed.append(1))
    slots.take("a")
    slots.take("a")
    assert (slots.room("a", 2), slots.room("b", 5), slots.free) == (0, 1, 1)
    waiting = asyncio.create_task(slots.acquire("a", 2))
    await asyncio.sleep(0)
    assert slots.room("a", 9) == 0
    slots.release("a")
    await waiting
    assert (slots.used("a"), freed) == (2, [])
    slots.release("a")
    assert (slots.used("a"), freed) == (1, [1])


async def test_a_cancelled_wait_for_a_slot_leaves_nothing_behind() -> None:
    slots = Slots(1, lambda: None)
    slots.take("a")
    waits = [asyncio.create_task(slots.acquire("a", 1)) for _ in range(2)]
    await asyncio.sleep(0)
    waits[0].cancel()
    await asyncio.gather(waits[0], return_exceptions=True)
    slots.release("a")
    waits[1].cancel()  # it has just been given the slot
    await asyncio.gather(waits[1], return_exceptions=True)
    assert (slots.used("a"), slots.free) == (0, 1)


async def test_another_chains_waiting_entry_gets_the_total_that_becomes_free() -> None:
    slots = Slots(1, lambda: None)
    slots.take("a")
    waiting = asyncio.create_task(slots.acquire("b", 1))
    await asyncio.sleep(0)
    slots.release("a")
    async with asyncio.timeout(5):
        await waiting
    assert slots.used("b") == 1


async def test_a_side_task_that_dies_is_noticed() -> None:
    async def die() -> None:
        raise ValueError("gone")

    async def forever() -> None:
        await asyncio.Event().wait()

    async with supervised() as supervisor:
        supervisor.start("forever", forever())
        await supervisor.stop("forever")
        await asyncio.sleep(0)
        assert not supervisor.failed.is_set()
        supervisor.start("dies", die())
        async with asyncio.timeout(5):
            await supervisor.failed.wait()


@pytest.mark.parametrize("name", ["one", "two"])
async def test_finished_waits_for_a_task_that_ends_by_itself(name: str) -> None:
    done: list[str] = []

    async def soon() -> None:
        await asyncio.sleep(0.01)
        done.append(name)

    async with supervised() as supervisor:
        supervisor.start(name, soon())
        await supervisor.finished(name)
        await supervisor.finished("unknown")
        assert done == [name]
        assert not supervisor.failed.is_set()


async def test_a_task_that_takes_a_cancellation_for_an_error_is_cancelled_again() -> None:
    swallowed: list[int] = []

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed.append(1)
                if len(swallowed) == 3:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await cancel_all([task])
    assert (task.cancelled(), len(swallowed)) == (True, 3)
