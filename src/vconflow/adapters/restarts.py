"""How a process ended, and how long to wait before it is started again."""

import signal

__all__ = ["LONGEST_PAUSE", "RAN_WELL", "SHORTEST_PAUSE", "Restarts", "how_it_ended"]

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 15.0
"""Seconds between the end of a process and the start of the next."""
RAN_WELL = 60.0
"""Seconds of life after which the next end is a new story."""


class Restarts:
    """Counts the ends of one process after another."""

    def __init__(self) -> None:
        self._next = SHORTEST_PAUSE

    def pause_after(self, lived: float) -> float:
        """Seconds to wait after a life of so many; twice as long each time."""
        if lived >= RAN_WELL:
            self._next = SHORTEST_PAUSE
        pause, self._next = self._next, min(self._next * 2, LONGEST_PAUSE)
        return pause


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
