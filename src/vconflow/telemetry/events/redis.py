"""Redis, and the embedded Valkey."""

from vconflow.telemetry import metrics
from vconflow.telemetry.events.errors import told
from vconflow.telemetry.log import get_logger

__all__ = [
    "event_feed_lost",
    "redis_back",
    "redis_done",
    "redis_lost",
    "valkey_back",
    "valkey_ended",
]

_log = get_logger()


def redis_lost(error: BaseException) -> None:
    """Redis could not be reached or refused work."""
    metrics.REDIS_ERRORS().inc()
    _log.warning("redis_lost", **told(error))


def event_feed_lost(error: BaseException) -> None:
    """The subscription to events broke, and those who listen may miss some."""
    metrics.REDIS_ERRORS().inc()
    _log.warning("event_feed_lost", **told(error))


def redis_back(seconds: float) -> None:
    """Redis takes work again after so long."""
    _log.info("redis_back", seconds=round(seconds, 3))


def redis_done(command: str, seconds: float) -> None:
    """A command, or a script by its name, was answered."""
    metrics.REDIS_SECONDS(command).observe(seconds)


def valkey_ended(how: str, delay: float, words: str) -> None:
    """The embedded Valkey ended, by itself or killed; the next try to start it is in `delay`
    seconds. `words` are the last lines of its log.
    """
    metrics.EMBEDDED_RESTARTS().inc()
    _log.error("valkey_ended", how=how, delay=round(delay, 3), words=words)


def valkey_back() -> None:
    """The embedded Valkey takes commands again."""
    _log.warning("valkey_back")
