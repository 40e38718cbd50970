"""The way of a vCon: accepted, through the links, into the storages."""

from collections.abc import Mapping, Sequence

from vconflow.telemetry import metrics
from vconflow.telemetry.events.errors import told
from vconflow.telemetry.log import debug_enabled, get_logger

__all__ = [
    "accepted",
    "enqueue_skipped",
    "entry_done",
    "link_done",
    "partner_accepted",
    "storage_conflict_restored",
    "storage_done",
    "tracer_done",
]

_log = get_logger()


def accepted(list_name: str, source: str, count: int = 1) -> None:
    """vCons were stored and put on a list; `source` is `http`, `bulk`, `link` and the like."""
    metrics.ACCEPTED(list_name, source).inc(count)
    if debug_enabled():
        _log.debug("accepted", list=list_name, source=source, count=count)


def partner_accepted(list_name: str, key: str, count: int = 1) -> None:
    """The same for a partner, told by the name of the API key, never by the key."""
    metrics.PARTNER_ACCEPTED(list_name, key).inc(count)


def enqueue_skipped(list_name: str, count: int) -> None:
    """uuids that were to be put on a list are known nowhere."""
    metrics.ENQUEUE_SKIPPED(list_name).inc(count)
    _log.warning("enqueue_skipped", list=list_name, count=count)


def entry_done(chain: str, outcome: str, seconds: float) -> None:
    """A run of a chain ended: completed, halted, deleted, lost, dead, retried or parked."""
    metrics.ENTRIES(chain, outcome).inc()
    metrics.CHAIN_SECONDS(chain, outcome).observe(seconds)
    if debug_enabled():
        _log.debug("entry_done", chain=chain, outcome=outcome, seconds=seconds)


def link_done(chain: str, link: str, outcome: str, seconds: float) -> None:
    """A link returned or failed; `outcome` is one word for that."""
    metrics.LINK_SECONDS(chain, link, outcome).observe(seconds)
    if debug_enabled():
        _log.debug("link_done", chain=chain, link=link, outcome=outcome, seconds=seconds)


def storage_done(
    storage: str, outcome: str, seconds: float, count: int, error: BaseException | None
) -> None:
    """A storage was through with a batch of `count` vCons; with `error`, some or all failed."""
    metrics.STORAGE_SECONDS(storage, outcome).observe(seconds)
    metrics.STORAGE_VCONS(storage, outcome).inc(count)
    if error is not None:
        _log.warning("storage_failed", storage=storage, outcome=outcome, count=count, **told(error))
    elif debug_enabled():
        _log.debug("storage_done", storage=storage, count=count, seconds=seconds)


def tracer_done(
    tracer: str, outcome: str, seconds: float, chain: str, uuid: str, error: BaseException | None
) -> None:
    """A tracer took note of a step, failed, or was `skipped` while it is known to be down."""
    metrics.TRACER_SECONDS(tracer, outcome).observe(seconds)
    if error is not None and outcome != "skipped":
        _log.warning("tracer_failed", tracer=tracer, chain=chain, uuid=uuid, **told(error))
    elif debug_enabled():
        _log.debug("tracer_done", tracer=tracer, outcome=outcome, chain=chain, uuid=uuid)


def late_write_waits(uuid: str, failures: Mapping[str, Exception]) -> None:
    """Storages that may have an old or deleted revision cannot be put right now."""
    _log.warning("late_write_waits", uuid=uuid, storages=sorted(failures))


def late_write_left(uuid: str, storages: Sequence[str]) -> None:
    """We stop before they could be: an old or deleted revision may be left there."""
    _log.error("late_write_left", uuid=uuid, storages=sorted(storages))


def storage_conflict_restored(storage: str, uuid: str) -> None:
    """A newer revision came up while a storage took an older one, and was stored after it."""
    metrics.STORAGE_CONFLICTS(storage).inc()
    _log.info("storage_conflict_restored", storage=storage, uuid=uuid)
