"""Which status every exception becomes.

Clients drop their data on 4xx and retry on 5xx: a 4xx only when a repeat of the same request
cannot help.
"""

import math
from typing import Any

from starlette.responses import Response

from vconflow.api.codec import json_response
from vconflow.api.refusals import (
    BadRequest,
    Forbidden,
    InvalidRequest,
    TooLarge,
    TooManyRequests,
    UnknownPath,
    UnsupportedBody,
    WrongMethod,
)
from vconflow.errors import Conflict, InvalidVcon, NotFound, Problem, Retryable, RevisionMismatch

__all__ = ["detail_of", "error_response", "status_of"]

# The first that fits counts, so a subclass stands before its base.
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (BadRequest, 400),
    (Forbidden, 403),
    (NotFound, 404),
    (UnknownPath, 404),
    (WrongMethod, 405),
    (RevisionMismatch, 412),
    (Conflict, 409),
    (TooLarge, 413),
    (UnsupportedBody, 415),
    (InvalidVcon, 422),
    (InvalidRequest, 422),
    (TooManyRequests, 429),
    (Retryable, 503),
)
_RETRY_AFTER = 1.0


def status_of(error: Exception) -> int:
    """Return the status of an exception; 500 means that nobody expected it."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def detail_of(error: Exception) -> str | list[dict[str, Any]]:
    """Return what `detail` says: a text, or for 422 one object per problem."""
    if isinstance(error, InvalidVcon):
        return [_shown(problem, ("body",)) for problem in error.problems]
    if isinstance(error, InvalidRequest):
        return [_shown(problem) for problem in error.problems]
    return str(error) if status_of(error) < 500 or isinstance(error, Retryable) else _UNEXPECTED


_UNEXPECTED = "Internal Server Error"


def error_response(error: Exception) -> Response:
    """Return the answer to a request that failed."""
    headers = {}
    if isinstance(error, WrongMethod):
        headers["Allow"] = error.allow
    if isinstance(error, Retryable | TooManyRequests):
        headers["Retry-After"] = str(math.ceil(max(error.retry_after or 0, _RETRY_AFTER)))
    return json_response({"detail": detail_of(error)}, status_of(error), headers)


def _shown(problem: Problem, before: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"loc": [*before, *problem.loc], "msg": problem.message, "type": problem.type}
