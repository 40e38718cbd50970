"""One HTTP request on its way to a handler."""

import re
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope

from vconflow.api.access import NOBODY
from vconflow.api.memory import SMALL
from vconflow.api.parameters import Query
from vconflow.api.services import Services

__all__ = ["Call", "Handler", "parent_of"]

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
        self._body_bytes = 0
        self._answer_bytes = 0

    @property
    def owner(self) -> str:
        """The name of the API key, empty while authentication is off."""
        return self.caller.name

    def note(self, **subject: Any) -> None:
        """Tell the audit log what the request is about: uuids, lists, versions; never content."""
        self.noted.update(subject)

    def hold_body(self, size: int) -> None:
        """So many bytes of the body are in memory now. Raises Overloaded if others hold too many.

        They count until the answer is sent, or until this says fewer.
        """
        size = size if size > SMALL else 0
        if size != self._body_bytes:
            self.services.bodies.change(self._body_bytes, size)
            self._body_bytes = size

    def hold_answer(self, size: int) -> None:
        """The same for the answer."""
        size = size if size > SMALL else 0
        if size != self._answer_bytes:
            self.services.answers.change(self._answer_bytes, size)
            self._answer_bytes = size

    def release(self) -> None:
        """Body and answer are gone."""
        if self._body_bytes or self._answer_bytes:
            self.hold_body(0)
            self.hold_answer(0)

    @cached_property
    def query(self) -> Query:
        return Query(self.scope["query_string"])

    @property
    def trace(self) -> str:
        """The caller's W3C traceparent, empty if it sent none or nonsense."""
        return parent_of(self.header(b"traceparent"))

    def header(self, name: bytes) -> str:
        """The value of a header, empty if it is missing."""
        value = self.headers.get(name)
        return value.decode("latin-1") if value is not None else ""


def parent_of(traceparent: str) -> str:
    """The same, empty if it is none."""
    return traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else ""


Handler = Callable[[Call], Awaitable[ASGIApp | Response]]
