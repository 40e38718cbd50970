"""Whether Redis is away: told once when it goes and once when it comes back."""

import time

from vconflow.telemetry import events

__all__ = ["Outage"]


class Outage:
    """Shared by all that talk to Redis again and again."""

    def __init__(self) -> None:
        self._since: float | None = None

    def lost(self, error: BaseException) -> None:
        """Redis did not answer, or refused work."""
        if self._since is None:
            self._since = time.monotonic()
            events.redis_lost(error)

    def back(self) -> None:
        """Redis answered."""
        if self._since is not None:
            events.redis_back(time.monotonic() - self._since)
            self._since = None
