"""Chains and their lists: whether they are read, and how full they are."""

from vconflow.telemetry import metrics
from vconflow.telemetry.log import get_logger

__all__ = [
    "chain_full",
    "chain_gone",
    "chain_held",
    "chain_measured",
    "chain_paused",
    "list_gone",
    "list_measured",
    "list_reader_changed",
]

_log = get_logger()


def chain_held(chain: str, reason: str) -> None:
    """A chain reads nothing: a component of it cannot run in this version."""
    metrics.CHAIN_HELD(chain).inc()
    _log.warning("chain_held", chain=chain, reason=reason)


def chain_full(chain: str, waiting: int, *, is_full: bool) -> None:
    """So many entries of a chain rest that it reads nothing more, or it reads again."""
    if is_full:
        metrics.CHAIN_HELD(chain).inc()
    _log.warning("chain_full" if is_full else "chain_reads_again", chain=chain, waiting=waiting)


def chain_paused(chain: str, *, is_paused: bool) -> None:
    """Somebody paused a chain, so that this replica reads nothing of it, or lets it go on."""
    _log.warning("chain_paused" if is_paused else "chain_resumed", chain=chain)


def chain_measured(chain: str, inflight: int, waiting: int) -> None:
    """How many entries of a chain are being processed, and how many rest until they may go on."""
    metrics.INFLIGHT(chain).set(inflight)
    metrics.WAITING(chain).set(waiting)


def chain_gone(chain: str) -> None:
    """A chain is not configured any more."""
    metrics.INFLIGHT.forget(chain)
    metrics.WAITING.forget(chain)


def list_measured(
    list_name: str, waiting: int, pending: int, oldest: float, dead: int | None = None
) -> None:
    """How full a list is; `oldest` is in seconds."""
    metrics.LIST_DEPTH(list_name).set(waiting)
    metrics.PENDING(list_name).set(pending)
    metrics.LIST_OLDEST(list_name).set(oldest)
    if dead is not None:
        metrics.DEAD_LETTERS(list_name).set(dead)


def list_gone(list_name: str) -> None:
    """No chain reads or writes a list any more; what it holds stays."""
    for gauge in (
        metrics.LIST_DEPTH,
        metrics.PENDING,
        metrics.LIST_OLDEST,
        metrics.DEAD_LETTERS,
    ):
        gauge.forget(list_name)


def list_reader_changed(list_name: str, chain: str, *, is_read: bool) -> None:
    """A chain reads a list from now on, or reads it no more."""
    if is_read:
        metrics.LIST_READER(list_name, chain).set(1)
    else:
        metrics.LIST_READER.forget(list_name, chain)
