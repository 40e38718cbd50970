"""How long a paid link may still take: nobody should begin what would be cut off, and paid for."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["ends_in", "seconds_left"]

_ends: ContextVar[float | None] = ContextVar("vconflow_link_ends", default=None)


@contextmanager
def ends_in(seconds: float) -> Iterator[None]:
    """What runs inside, tasks that it starts included, is ended so many seconds from now."""
    token = _ends.set(asyncio.get_running_loop().time() + seconds)
    try:
        yield
    finally:
        _ends.reset(token)


def seconds_left() -> float | None:
    """Seconds until this is ended, below 0 when it should have been; None when nobody says."""
    ends = _ends.get()
    return None if ends is None else ends - asyncio.get_running_loop().time()
