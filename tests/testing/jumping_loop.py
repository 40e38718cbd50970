"""An event loop in which nobody waits: when all sleep, time jumps to whoever wakes first."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["LoopClock", "run_jumping"]

ResultT = TypeVar("ResultT")
_START = 1_700_000_000.0


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits for somebody else, for ever")
        events = super().select(0)
        if not events and timeout > 0:
            self.skipped += timeout
        return events


class _JumpingLoop(asyncio.SelectorEventLoop):
    """Its time is made of the jumps alone: a busy machine changes nothing."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.skipped


class LoopClock:
    """The loop's time as a `Clock`."""

    def now(self) -> float:
        return _START + asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run_jumping(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run `main` to its end, however long it sleeps, in no time."""
    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        return runner.run(main)
