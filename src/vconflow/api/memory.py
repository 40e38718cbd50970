"""How much memory large bodies may take, of all requests together."""

from vconflow.errors import Overloaded

__all__ = ["SMALL", "Memory"]

SMALL = 64 * 1024
"""Bytes up to which a body is not counted: it is gone soon, and there are many of them."""


class Memory:
    """Bytes held by requests under way, `most` of them; one alone may hold more.

    Without such a limit a single key fills the memory by many connections that are slow.
    """

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._held = 0

    def change(self, before: int, after: int) -> None:
        """A request that held `before` bytes holds `after` now. Raises Overloaded without room."""
        others = self._held - before
        if others and after > before and others + after > self._most:
            raise Overloaded(f"Too many large {self._what} are under way")
        self._held = others + after
