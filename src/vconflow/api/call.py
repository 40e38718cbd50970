"""One HTTP request on its way to a handler."""

import re
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope

from vconflow.api.access import NOBODY
from vconflow.api.parameters import Query
from vconflow.api.services import Services

__all__ = ["Call", "Handler"]

# Version ff, and ids that are all zero, are nonsense by W3C Trace Context.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)


class Call:
    """A request with the services it needs.

    `headers` has lower-case names; of a repeated header it holds the last. `path` holds what the
    route's pattern matched. `caller` is who holds the key of the request.
    """

    def __init__(
        self, services: Services, scope: Scope, receive: Receive, path: dict[str, str]
    ) -> None:
        self.services = services
        self.scope = scope
        self.receive = receive
        self.path = path
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.caller = NOBODY
        self.noted: dict[str, Any] = {}

    @property
    def owner(self) -> str:
        """The name of the API key, empty while authentication is off."""
        return self.caller.name

    def note(self, **subject: Any) -> None:
        """Tell the audit log what the request is about: uuids, lists, versions; never content."""
        self.noted.update(subject)

    @cached_property
    def query(self) -> Query:
        return Query(self.scope["query_string"])

    @property
    def trace(self) -> str:
        """The caller's W3C traceparent, empty if it sent none or nonsense."""
        text = self.header(b"traceparent")
        return text if text and _TRACEPARENT.fullmatch(text) else ""

    def header(self, name: bytes) -> str:
        """The value of a header, empty if it is missing."""
        value = self.headers.get(name)
        return value.decode("latin-1") if value is not None else ""


Handler = Callable[[Call], Awaitable[ASGIApp | Response]]
