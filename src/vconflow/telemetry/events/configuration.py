"""The configuration in force, and those that were refused."""

from vconflow.telemetry import metrics
from vconflow.telemetry.events.errors import LONGEST_ERROR, told
from vconflow.telemetry.log import get_logger

__all__ = [
    "config_applied",
    "config_refused",
    "config_trouble",
    "config_unwatched",
]

_log = get_logger()


def config_applied(source: str, serial: int, version: str, by: str) -> None:
    """A version of the configuration came into force; `source` is `file`, `api`, `store`, …."""
    metrics.CONFIG_RELOADS(source, "applied").inc()
    metrics.CONFIG_SERIAL().set(serial)
    _log.info("config_applied", source=source, serial=serial, version=version, by=by)


def config_refused(source: str, problems: int, error: str) -> None:
    """A configuration has that many problems; the one in force stays. `error` names no secret."""
    metrics.CONFIG_RELOADS(source, "refused").inc()
    _log.warning("config_refused", source=source, problems=problems, error=error[:LONGEST_ERROR])


def config_trouble(*, is_there: bool) -> None:
    """The file, or the stored version, is one that cannot be used, or that is over."""
    metrics.CONFIG_REFUSED().set(is_there)


def config_unwatched(error: BaseException) -> None:
    """The system cannot tell when the configuration file changes; it is looked at now and then."""
    _log.warning("config_unwatched", **told(error))
