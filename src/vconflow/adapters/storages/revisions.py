"""Which revision of a vCon this process wrote last, so that a late write does not undo it."""

import threading
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["Revisions"]

_REMEMBERED = 16_384


class Revisions:
    """Orders writes of one process to a place that cannot compare revisions itself.

    A write that outlived its time-out in a thread may end after the write of a newer revision.
    Only the most recent vCons are remembered. Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._newest: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def commit(self, uuid: str, rev: int, write: Callable[[bool], None]) -> bool:
        """Call `write` unless a newer revision was written; whether it was called.

        Its argument says whether this process has written the vCon before, as far as remembered.
        """
        with self._lock:
            newest = self._newest.get(uuid)
            if newest is not None and newest > rev:
                return False
            write(newest is not None)
            self._newest[uuid] = rev
            self._newest.move_to_end(uuid)
            if len(self._newest) > _REMEMBERED:
                self._newest.popitem(last=False)
            return True
