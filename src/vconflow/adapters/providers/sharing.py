"""Things that are open for as long as somebody uses them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["Sharing"]

KeyT = TypeVar("KeyT")
T = TypeVar("T")


@dataclass(eq=False)
class _Entry(Generic[T]):
    users: int = 0
    values: list[T] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)


class Sharing(Generic[KeyT, T]):
    """Opens what a key stands for when its first user comes and closes it after the last."""

    def __init__(self, open_new: Callable[[KeyT], AbstractAsyncContextManager[T]]) -> None:
        self._open_new = open_new
        self._entries: dict[KeyT, _Entry[T]] = {}

    @asynccontextmanager
    async def use(self, key: KeyT) -> AsyncIterator[T]:
        """What the key stands for, open until the context ends."""
        entry = self._entries.setdefault(key, _Entry())
        entry.users += 1
        try:
            async with entry.lock:
                if not entry.values:
                    opened = await entry.stack.enter_async_context(self._open_new(key))
                    entry.values.append(opened)
            yield entry.values[0]
        finally:
            entry.users -= 1
            if not entry.users:
                # Whoever comes from now on opens another one.
                del self._entries[key]
                await entry.stack.aclose()

    def __len__(self) -> int:
        """How many are open, or being opened."""
        return len(self._entries)
