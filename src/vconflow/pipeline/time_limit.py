"""A time limit for calls that mostly have nothing to wait for."""

import asyncio
import math
import types
import weakref
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, TypeAlias, TypeVar

__all__ = ["within"]

ResultT = TypeVar("ResultT")

_LONG, _ENDLESS = 1.0, 1e9
"""Seconds. A timer for each wait costs more than most of what links do."""
_GRAIN = 0.05
"""Seconds between two bells for limits of 1 to 10 seconds; ten times as many for 10 to 100, ..."""


async def within(seconds: float, call: Awaitable[ResultT]) -> ResultT:
    """Await a call for so many seconds at most. Raises TimeoutError.

    Only waiting can be cut short, so a coroutine is run up to its first wait before any timer is
    set: most links that do not ask anybody never get there. Of a second or more, the end may come
    a twentieth late.
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
    if not _LONG <= seconds < _ENDLESS:
        async with asyncio.timeout_at(end):
            return await _go_on(call, awaited)
    bell = _bell_at(loop, end, seconds)
    async with asyncio.timeout(None) as limit:
        bell.add(limit)
        try:
            return await _go_on(call, awaited)
        finally:
            bell.discard(limit)


class _Bell:
    """Ends, at one time, all waits that are still there: one timer for many."""

    def __init__(self) -> None:
        self._limits: set[asyncio.Timeout] = set()
        self.add, self.discard = self._limits.add, self._limits.discard

    def ring(self, now: float) -> None:
        """End them."""
        for limit in list(self._limits):
            limit.reschedule(now)


_Bells: TypeAlias = "dict[float, _Bell]"
_bells: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Bells] = weakref.WeakKeyDictionary()
"""By the time at which they ring."""


def _bell_at(loop: asyncio.AbstractEventLoop, end: float, seconds: float) -> _Bell:
    """The first bell at or after a time; of longer limits there are fewer."""
    grain = _GRAIN * 10 ** math.floor(math.log10(seconds))
    at = math.ceil(end / grain) * grain
    bells = _bells.setdefault(loop, {})
    bell = bells.get(at)
    if bell is None:
        bell = bells[at] = _Bell()
        loop.call_at(at, _ring, weakref.ref(loop), at)
    return bell


def _ring(loop: "weakref.ref[asyncio.AbstractEventLoop]", at: float) -> None:
    running = loop()
    assert running is not None  # it is what calls this
    _bells[running].pop(at).ring(running.time())


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
