"""Making what a storage needs in its server, once, when it is first needed."""

import asyncio
from collections.abc import Awaitable, Callable

__all__ = ["Once"]


class Once:
    """Something that is made once and may take long: a table, its indexes, a loaded collection.

    Who gives up waiting for it does not stop it. After a failure the next one who needs it tries
    again.
    """

    def __init__(self, make: Callable[[], Awaitable[None]]) -> None:
        self._make = make
        self._made: asyncio.Task[None] | None = None

    async def ensure(self) -> None:
        """Return when it is made. Raises what hindered that."""
        made = self._made
        if made is None or (made.done() and (made.cancelled() or made.exception())):
            self._made = made = asyncio.create_task(self._run())
            made.add_done_callback(_look_at_error)
        if not made.done():
            await asyncio.shield(made)

    def forget(self) -> None:
        """Somebody took it away: the next one who needs it makes it again."""
        self._made = None

    async def close(self) -> None:
        """Stop making it."""
        if self._made is not None:
            self._made.cancel()
            await asyncio.wait([self._made])

    async def _run(self) -> None:
        await self._make()


def _look_at_error(task: asyncio.Task[None]) -> None:
    # Everybody who waited for it may have given up by now; asyncio would complain.
    if not task.cancelled():
        task.exception()
