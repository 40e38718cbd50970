"""Values that end by themselves."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

__all__ = ["Expiring"]

ValueT = TypeVar("ValueT")


class Expiring(Generic[ValueT]):
    """Values by key. Whatever has reached its end is not there, without anybody removing it.

    `now` returns Unix milliseconds.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._values: dict[str, ValueT] = {}
        self._ends: dict[str, int] = {}

    def get(self, key: str) -> ValueT | None:
        """Return the value, or None."""
        end = self._ends.get(key)
        if end is not None and end <= self._now():
            self.pop(key)
        return self._values.get(key)

    def put(self, key: str, value: ValueT) -> None:
        """Set a value that has no end."""
        self._values[key] = value
        self.keep(key)

    def setdefault(self, key: str, make: Callable[[], ValueT]) -> ValueT:
        """Return the value, which keeps its end, or put what `make` returns."""
        found = self.get(key)
        if found is None:
            found = make()
            self.put(key, found)
        return found

    def pop(self, key: str) -> ValueT | None:
        """Remove and return the value."""
        self._ends.pop(key, None)
        return self._values.pop(key, None)

    def end_in(self, key: str, milliseconds: int) -> None:
        """Let a value that is there end."""
        if self.get(key) is not None:
            self._ends[key] = self._now() + milliseconds

    def keep(self, key: str) -> None:
        """Take the end off a value."""
        self._ends.pop(key, None)

    def left(self, key: str) -> int | None:
        """Milliseconds until the value ends; None for never."""
        end = self._ends.get(key)
        return None if end is None else end - self._now()

    def items(self) -> Iterator[tuple[str, ValueT]]:
        """Iterate over what is there."""
        for key in list(self._values):
            value = self.get(key)
            if value is not None:
                yield key, value
