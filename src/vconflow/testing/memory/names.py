"""A consumer name per replica, held so that two never act under the same one."""

from vconflow.testing.memory.store import Store

__all__ = ["HeldName"]


class HeldName:
    """Holds `wanted`, or `wanted-2`, `wanted-3` … when a clone holds it already.

    The hold ends by itself unless it is renewed within `lease` milliseconds.
    """

    def __init__(self, store: Store, wanted: str, lease: int) -> None:
        self._store = store
        self._token = object()
        self._lease = lease
        self.name, number = wanted, 1
        while not self.renew():
            number += 1
            self.name = f"{wanted}-{number}"

    def renew(self) -> bool:
        """Hold the name for another lease; False when somebody else holds it."""
        holder = self._store.names.setdefault(self.name, lambda: self._token)
        if holder is not self._token:
            return False
        self._store.names.end_in(self.name, self._lease)
        return True

    @property
    def displaced(self) -> bool:
        """Whether somebody else holds the name now: then nothing under it is ours any more."""
        return self._store.names.get(self.name) not in (None, self._token)

    def release(self) -> None:
        """Let the name go, if it is still ours."""
        if self._store.names.get(self.name) is self._token:
            self._store.names.pop(self.name)
