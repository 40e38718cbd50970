"""Spans for OpenTelemetry, as the rest of vconflow sees them: there are none unless switched on.

Nothing of OpenTelemetry is imported before `open_spans` is told to. Attributes name chains, links,
lists, uuids and outcomes; never contents of a conversation, and of an error only its type.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Literal, Protocol

from vconflow.errors import ConfigError, Problem

__all__ = ["Attributes", "Span", "Spans", "open_spans"]

Attributes = Mapping[str, str | int]


class Span(Protocol):
    """Something that is under way. `traceparent` is its W3C Trace Context, to be handed on."""

    traceparent: str

    def set(self, name: str, value: str | int) -> None:
        """Note an attribute."""
        ...

    def rename(self, name: str) -> None:
        """Call it by what is known by now."""
        ...

    def failed(self, error_type: str) -> None:
        """It did not go well; the type of the error is all that is said of it."""
        ...

    def child(
        self, name: str, seconds: float, attributes: Attributes, error_type: str = ""
    ) -> None:
        """A part of it has just ended, after so many seconds, and failed if there is an error.

        It has the attributes with which this span began, too.
        """
        ...

    def current(self) -> AbstractContextManager[None]:
        """What other libraries record meanwhile is part of it."""
        ...

    def end(self) -> None:
        """It is over."""
        ...


class Spans(Protocol):
    """Makes spans; whatever becomes of them, no call waits or fails."""

    def begin(
        self, name: str, kind: Literal["server", "consumer"], parent: str, attributes: Attributes
    ) -> Span:
        """One that belongs to `parent`, a W3C traceparent, or begins a trace if that is empty."""
        ...

    def batch(
        self,
        name: str,
        seconds: float,
        attributes: Attributes,
        error_type: str,
        links: Iterable[str],
    ) -> None:
        """Something done for many traces at once has just ended; `links` are traceparents."""
        ...


@asynccontextmanager
async def open_spans(*, enabled: bool, replica: str = "") -> AsyncIterator[Spans | None]:
    """What makes spans, set up by the variables `OTEL_*`, None when it is not `enabled`.

    At the end it sends what is left, for some seconds at most. Raises ConfigError.
    """
    if not enabled:
        yield None
        return
    try:
        from vconflow.telemetry.otel import open_otel
    except ModuleNotFoundError as error:
        message = "needs the extra 'otel': pip install 'vconflow[otel]'"
        raise ConfigError([Problem(("VCONFLOW_OTEL",), message, "missing_extra")]) from error
    async with open_otel(replica) as spans:
        yield spans
