"""Whether Redis is away: told once when it goes and once when it comes back."""

import time

from vconflow.telemetry import events

__all__ = ["PATIENCE", "Outage"]

PATIENCE = 8.0
"""Seconds that somebody who waits for an answer waits for Redis. A little longer than the adapter
does for one call: what was sent ends by its own answer, what only queued behind it is not sent."""


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
