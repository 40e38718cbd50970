"""A time limit for calls that mostly have nothing to wait for."""

import asyncio
import types
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, TypeVar

__all__ = ["within"]

ResultT = TypeVar("ResultT")


async def within(seconds: float, call: Awaitable[ResultT]) -> ResultT:
    """Await a call for so many seconds at most. Raises TimeoutError.

    Only waiting can be cut short, so a coroutine is run up to its first wait before any timer is
    set: most links that do not ask anybody never get there.
    """
    end = asyncio.get_running_loop().time() + seconds
    if not isinstance(call, types.CoroutineType):
        async with asyncio.timeout_at(end):
            return await call
    try:
        awaited = call.send(None)
    except StopIteration as done:
        result: ResultT = done.value
        return result
    async with asyncio.timeout_at(end):
        return await _go_on(call, awaited)


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
