"""The clock of the machine."""

import asyncio
import time

__all__ = ["SystemClock"]


class SystemClock:
    """The `Clock` of production."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
