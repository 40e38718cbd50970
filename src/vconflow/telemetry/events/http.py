"""Requests, connections and who may make them."""

from collections.abc import Sequence

from vconflow.telemetry import metrics
from vconflow.telemetry.events.errors import told
from vconflow.telemetry.log import debug_enabled, get_logger

__all__ = [
    "audit_lost",
    "auth_off",
    "certificate_loaded",
    "connection_refused",
    "http_done",
]

_log = get_logger()


def auth_off(host: str) -> None:
    """The API answers anybody who reaches `host`."""
    _log.warning("auth_off", host=host, hint="set CONSERVER_API_TOKEN")


def audit_lost(count: int, reason: str) -> None:
    """Lines of the audit log could not be written; the requests went on."""
    metrics.AUDIT_LOST().inc(count)
    _log.error("audit_lost", count=count, reason=reason)


def connection_refused(reason: str) -> None:
    """A connection was ended before its request reached a route; `reason` is one of a few words."""
    metrics.CONNECTIONS_REFUSED(reason).inc()
    if debug_enabled():
        _log.debug("connection_refused", reason=reason)


def certificate_loaded(files: Sequence[str], error: BaseException | None = None) -> None:
    """The TLS certificate has changed and is used from now on; with `error` the old one is."""
    if error is None:
        _log.info("certificate_loaded", files=list(files))
    else:
        _log.error("certificate_unusable", files=list(files), **told(error))


def http_done(route: str, method: str, status: int, seconds: float) -> None:
    """A request was answered; `route` is the template of its path, never the path."""
    metrics.HTTP_SECONDS(route, method, str(status)).observe(seconds)
    if debug_enabled():
        _log.debug("http_done", route=route, method=method, status=status, seconds=seconds)
