"""Spans by the SDK of OpenTelemetry, sent by OTLP over HTTP from a thread of their own."""

import asyncio
import contextlib
import logging
import os
import re
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from typing import Final, Literal

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
    SpanExportResult,
)

from vconflow.errors import ConfigError, Problem
from vconflow.telemetry import events
from vconflow.telemetry.spans import Attributes

__all__ = ["OtelSpans", "exporter_of", "open_otel"]

_PARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_KINDS: Final = {"server": trace.SpanKind.SERVER, "consumer": trace.SpanKind.CONSUMER}
_PATIENCE = 5.0
"""Seconds that sending what is left may hold up the end of the process."""
_MOST_LINKS = 128


class _Span:
    """Implements `telemetry.spans.Span`."""

    def __init__(self, tracer: trace.Tracer, span: trace.Span, attributes: Attributes) -> None:
        self._tracer = tracer
        self._span = span
        self._attributes = attributes
        self.traceparent = _traceparent(span)

    def set(self, name: str, value: str | int) -> None:
        self._span.set_attribute(name, value)

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def failed(self, error_type: str) -> None:
        _fail(self._span, error_type)

    def child(
        self, name: str, seconds: float, attributes: Attributes, error_type: str = ""
    ) -> None:
        _end_now(
            self._tracer,
            name,
            seconds,
            {**self._attributes, **attributes},
            error_type,
            context=trace.set_span_in_context(self._span),
        )

    @contextmanager
    def current(self) -> Iterator[None]:
        with trace.use_span(self._span, record_exception=False, set_status_on_exception=False):
            yield

    def end(self) -> None:
        self._span.end()


class OtelSpans:
    """Implements `telemetry.spans.Spans`."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def begin(
        self, name: str, kind: Literal["server", "consumer"], parent: str, attributes: Attributes
    ) -> _Span:
        came_from = _parse(parent)
        # Without a parent it must not become part of whatever is current here.
        context = trace.set_span_in_context(
            trace.INVALID_SPAN if came_from is None else trace.NonRecordingSpan(came_from)
        )
        span = self._tracer.start_span(
            name, context, kind=_KINDS[kind], attributes=dict(attributes)
        )
        return _Span(self._tracer, span, attributes)

    def batch(
        self,
        name: str,
        seconds: float,
        attributes: Attributes,
        error_type: str,
        links: Iterable[str],
    ) -> None:
        contexts = [it for it in map(_parse, links) if it is not None][:_MOST_LINKS]
        context = trace.set_span_in_context(trace.INVALID_SPAN)
        _end_now(
            self._tracer,
            name,
            seconds,
            attributes,
            error_type,
            context=context,
            links=[trace.Link(it) for it in contexts],
        )


def _end_now(
    tracer: trace.Tracer,
    name: str,
    seconds: float,
    attributes: Attributes,
    error_type: str,
    *,
    context: Context,
    links: Sequence[trace.Link] = (),
) -> None:
    end = time.time_ns()
    span = tracer.start_span(
        name,
        context,
        attributes=dict(attributes),
        links=links,
        start_time=end - int(seconds * 1e9),
    )
    if error_type:
        _fail(span, error_type)
    span.end(end)


def _fail(span: trace.Span, error_type: str) -> None:
    span.set_status(trace.StatusCode.ERROR)
    span.set_attribute("error.type", error_type)


def _parse(traceparent: str) -> trace.SpanContext | None:
    found = _PARENT.match(traceparent)
    if found is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    return trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=trace.TraceFlags(flags))


def _traceparent(span: trace.Span) -> str:
    """Empty when the SDK is disabled, and there is no such span."""
    it = span.get_span_context()
    return f"00-{it.trace_id:032x}-{it.span_id:016x}-{it.trace_flags:02x}" if it.is_valid else ""


class _Told(SpanExporter):
    """Tells once when the spans do not arrive any more, and once when they do again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._is_away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        is_away = result is not SpanExportResult.SUCCESS
        events.spans_sent(len(spans), arrived=not is_away)
        if is_away != self._is_away:
            self._is_away = is_away
            (events.collector_lost if is_away else events.collector_back)()
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


@asynccontextmanager
async def open_otel(replica: str) -> AsyncIterator[OtelSpans]:
    """Spans that are sent in the background. Raises ConfigError."""
    # They quote URLs and repeat themselves; `_Told` says what there is to say.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
    # It looks around in files.
    provider = await asyncio.to_thread(_provider, replica)
    try:
        yield OtelSpans(provider.get_tracer("vconflow"))
    finally:
        await _flush(provider)


def _provider(replica: str) -> TracerProvider:
    ours = {
        "service.name": "vconflow",
        "service.version": version("vconflow"),
        "service.instance.id": replica,
    }
    # The variables go first, and the SDK's own ideas last.
    resource = Resource.create().merge(Resource(ours)).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = exporter_of(os.environ)
    if exporter is not None:
        provider.add_span_processor(BatchSpanProcessor(_Told(exporter)))
    return provider


def exporter_of(env: Mapping[str, str]) -> SpanExporter | None:
    """Where spans go by OTEL_TRACES_EXPORTER and OTEL_EXPORTER_OTLP_*. Raises ConfigError."""
    match env.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp":
        case "none":
            return None
        case "console":
            return ConsoleSpanExporter()
        case "otlp":
            return _otlp(env)
        case _:
            raise _wrong("OTEL_TRACES_EXPORTER", "is otlp, console or none")


def _otlp(env: Mapping[str, str]) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = env.get(name, "").strip()
        if protocol and protocol != "http/protobuf":
            raise _wrong(name, "is http/protobuf: no other protocol is built in")
        if protocol:
            break
    return OTLPSpanExporter()


def _wrong(name: str, message: str) -> ConfigError:
    return ConfigError([Problem((name,), message, "unusable")])


async def _flush(provider: TracerProvider) -> None:
    """Send what is left. In a thread that may outlive us: no collector holds up the end."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def end() -> None:
        provider.shutdown()
        with contextlib.suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=end, name="otel-shutdown", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            await ended.wait()
