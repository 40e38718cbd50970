"""A time limit for calls that mostly have nothing to wait for."""

import asyncio
import math
import types
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

__all__ = ["within"]

ResultT = TypeVar("ResultT")

_LONG, _GRAIN = 1.0, 0.05
"""Seconds. A timer for each wait costs more than most of what links do."""


async def within(seconds: float, call: Awaitable[ResultT]) -> ResultT:
    """Await a call for so many seconds at most. Raises TimeoutError.

    Only waiting can be cut short, so a coroutine is run up to its first wait before any timer is
    set: most links that do not ask anybody never get there. Of a second or more, the end may come
    a twentieth of a second late.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    if not isinstance(call, types.CoroutineType):
        async with asyncio.timeout_at(end):
            return await call
    try:
        awaited = call.send(None)
    except StopIteration as done:
        result: ResultT = done.value
        return result
    if seconds < _LONG:
        async with asyncio.timeout_at(end):
            return await _go_on(call, awaited)
    bell = _bell_at(loop, end)
    async with asyncio.timeout(None) as limit:
        bell.add(limit)
        try:
            return await _go_on(call, awaited)
        finally:
            bell.discard(limit)


class _Bell:
    """Ends, at one time, all waits that are still there: one timer for many."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tick: int) -> None:
        self._loop = loop
        self._limits: set[asyncio.Timeout] = set()
        self.add, self.discard = self._limits.add, self._limits.discard
        loop.call_at(tick * _GRAIN, self._ring, tick)

    def _ring(self, tick: int) -> None:
        _bells[self._loop].pop(tick, None)
        now = self._loop.time()
        for limit in list(self._limits):
            limit.reschedule(now)


_bells: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, _Bell]] = WeakKeyDictionary()
"""By the number of `_GRAIN`s at whose end they ring."""


def _bell_at(loop: asyncio.AbstractEventLoop, end: float) -> _Bell:
    """The first bell at or after a time."""
    tick = math.ceil(end / _GRAIN)
    bells = _bells.setdefault(loop, {})
    bell = bells.get(tick)
    if bell is None:
        bell = bells[tick] = _Bell(loop, tick)
    return bell


@types.coroutine
def _go_on(begun: Coroutine[Any, Any, ResultT], awaited: object) -> Generator[object, Any, ResultT]:
    """What `await` does with a coroutine, from its first wait on."""
    try:
        while True:
            try:
                sent = yield awaited
            # Whatever ends the wait is the coroutine's to deal with.
            except BaseException as error:  # noqa: BLE001
                awaited = begun.throw(error)
            else:
                awaited = begun.send(sent)
    except StopIteration as done:
        result: ResultT = done.value
        return result
