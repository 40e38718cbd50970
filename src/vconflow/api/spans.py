"""The span of one request."""

from typing import Final

from starlette.types import Scope

from vconflow.api.audit import Target
from vconflow.api.call import parent_of
from vconflow.telemetry.spans import Span, Spans

__all__ = ["begin_request", "end_request"]

_HEADER: Final = b"traceparent"
_PROBES: Final = ("/health", "/ready", "/metrics", "/version")
_SUBJECTS: Final = ("uuid", "list", "lists", "chain")


def begin_request(spans: Spans, scope: Scope) -> Span | None:
    """Begin it within the caller's trace, and put its own traceparent in that one's place.

    What machines ask every few seconds has none.
    """
    if scope["path"].endswith(_PROBES):
        return None
    headers = scope["headers"]
    parent = next((value for name, value in reversed(headers) if name == _HEADER), b"")
    method = scope["method"]
    attributes = {"http.request.method": method}
    span = spans.begin(method, "server", parent_of(parent.decode("latin-1")), attributes)
    if span.traceparent:
        scope["headers"] = [*headers, (_HEADER, span.traceparent.encode())]
    return span


def end_request(span: Span, method: str, target: Target | None, status: int) -> None:
    """End it, by the name of its route."""
    if target is not None:
        span.rename(f"{method} {target.route.path}")
        span.set("http.route", target.route.path)
        for name in _SUBJECTS:
            if value := target.call.noted.get(name):
                span.set(f"vconflow.{name}", value if isinstance(value, str) else ",".join(value))
    span.set("http.response.status_code", status)
    if status >= 500:
        span.failed(str(status))
    span.end()
