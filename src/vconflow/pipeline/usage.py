"""Knowing when nobody uses something any more that is to be closed then."""

import asyncio
from types import TracebackType

__all__ = ["Usage"]


class Usage:
    """A context that any number of users are in at the same time."""

    def __init__(self) -> None:
        self._users = 0
        self._waiting: list[asyncio.Future[None]] = []

    def __enter__(self) -> None:
        self._users += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._users -= 1
        if not self._users:
            for future in self._waiting:
                if not future.done():
                    future.set_result(None)
            self._waiting.clear()

    async def ended(self) -> None:
        """Wait until nobody is in it."""
        while self._users:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future
