"""What goes wrong with an entry."""

from collections.abc import Sequence
from typing import NamedTuple

from vconflow.telemetry import metrics
from vconflow.telemetry.events.errors import LONGEST_ERROR, told
from vconflow.telemetry.log import debug_enabled, get_logger

__all__ = [
    "FailedEntry",
    "dead_lettered",
    "dead_letters_moved",
    "document_missing",
    "parked",
    "retry_scheduled",
]

_log = get_logger()


class FailedEntry(NamedTuple):
    """An entry, and the step at which it failed, such as `link:tag`."""

    chain: str
    list: str
    uuid: str
    stage: str


def retry_scheduled(
    entry: FailedEntry, error: BaseException, *, attempt: int, delay: float
) -> None:
    """An entry failed for the `attempt`-th time at this step and waits `delay` seconds."""
    metrics.RETRIES(entry.chain).inc()
    _log.info(
        "retry_scheduled",
        **entry._asdict(),
        attempt=attempt,
        delay=round(delay, 3),
        **told(error),
    )


def parked(chain: str, list_name: str, uuid: str, breakers: Sequence[str]) -> None:
    """An entry waits until one of these breakers lets it through."""
    metrics.PARKED(chain).inc()
    if debug_enabled():
        _log.debug("parked", chain=chain, list=list_name, uuid=uuid, breakers=list(breakers))


def dead_lettered(entry: FailedEntry, error_type: str, error: str, *, attempts: int) -> None:
    """An entry was given up and moved to the dead letters of its list."""
    _log.error(
        "dead_lettered",
        **entry._asdict(),
        error_type=error_type,
        error=error[:LONGEST_ERROR],
        attempts=attempts,
    )


def dead_letters_moved(list_name: str, how: str, count: int) -> None:
    """Dead letters of a list were `replayed`, `purged` or `expired`."""
    if count:
        metrics.DEAD_LETTERS_MOVED(list_name, how).inc(count)
        if debug_enabled():
            _log.debug("dead_letters_moved", list=list_name, how=how, count=count)


def document_missing(list_name: str, entry: str, uuid: str) -> None:
    """The vCon of an entry is neither in Redis nor in any storage."""
    metrics.DOCUMENTS_MISSING(list_name).inc()
    _log.error("document_missing", list=list_name, entry=entry, uuid=uuid)
