"""Time, injected so that tests do not wait."""

from typing import Protocol

__all__ = ["Clock"]


class Clock(Protocol):
    """Wall time for what people read and other processes compare, and a sleep that tests skip."""

    def now(self) -> float:
        """Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps."""
        ...

    async def sleep(self, seconds: float) -> None: ...
