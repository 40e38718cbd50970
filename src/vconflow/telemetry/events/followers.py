"""Following other servers."""

from collections.abc import Sequence

from vconflow.telemetry import metrics
from vconflow.telemetry.events.errors import told
from vconflow.telemetry.log import debug_enabled, get_logger

__all__ = [
    "follower_back",
    "follower_failed",
    "follower_measured",
    "follower_parked",
    "follower_pulled",
    "follower_started",
    "follower_stopped",
    "follower_succeeded",
    "follower_unwritten",
]

_log = get_logger()


def follower_started(follower: str, list_name: str) -> None:
    """It is the turn of this replica to pull another server's egress into a list."""
    _log.info("follower_started", follower=follower, list=list_name)


def follower_stopped(follower: str, waiting: int, *, is_removed: bool) -> None:
    """Another replica has the turn, or will; of one that was removed, `waiting` ids are left."""
    if is_removed and waiting:
        _log.error("follower_removed_too_early", follower=follower, waiting=waiting)
    else:
        _log.info("follower_stopped", follower=follower, waiting=waiting)


def follower_pulled(follower: str, outcome: str, count: int) -> None:
    """Of so many ids the vCon was `stored` here, or is fetched `again`."""
    if count:
        metrics.FOLLOWER_PULLED(follower, outcome).inc(count)
        if debug_enabled():
            _log.debug("follower_pulled", follower=follower, outcome=outcome, count=count)


def follower_parked(follower: str, uuid: str, reason: str, error: str) -> None:
    """The vCon of an id cannot be had; the id is kept where people see it."""
    metrics.FOLLOWER_PULLED(follower, reason).inc()
    _log.error("follower_parked", follower=follower, uuid=uuid[:100], reason=reason, error=error)


def follower_failed(follower: str, error: BaseException, failures: int, delay: float) -> None:
    """The other server, or Redis, is away; told once, until `follower_back`."""
    metrics.FOLLOWER_FAILURES(follower).inc()
    if failures == 1:
        _log.warning("follower_failed", follower=follower, delay=round(delay, 3), **told(error))
    elif debug_enabled():
        _log.debug("follower_failed", follower=follower, failures=failures, **told(error))


def follower_back(follower: str) -> None:
    """The other server answers again."""
    _log.warning("follower_back", follower=follower)


def follower_succeeded(follower: str, now: float) -> None:
    """A look at the other server went well, whatever it brought."""
    metrics.FOLLOWER_SUCCESS(follower).set(now)


def follower_unwritten(follower: str, uuids: Sequence[str]) -> None:
    """Ids left the other server, and Redis took none of them before the process ended."""
    _log.critical("follower_unwritten", follower=follower, uuids=list(uuids))


def follower_measured(follower: str, waiting: int, parked: int) -> None:
    """How many ids are written down, and how many are parked."""
    metrics.FOLLOWER_WAITING(follower).set(waiting)
    metrics.FOLLOWER_PARKED(follower).set(parked)
