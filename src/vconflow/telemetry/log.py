"""Logging: JSON lines, or something pretty on a terminal; one stream for us and for libraries."""

import json
import logging
import sys
from typing import TextIO

import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars
from structlog.typing import EventDict, FilteringBoundLogger, Processor

__all__ = ["LEVELS", "bind", "bound", "configure", "debug_enabled", "get_logger"]

_ROOT = logging.getLogger()
LEVELS = ("debug", "info", "warning", "error", "critical")

bind = bind_contextvars
"""Add values to every line that the current task logs from here on."""
bound = bound_contextvars
"""The same for the length of a `with`."""

# One line per request or per connection: nothing that happens for every vCon is above DEBUG.
_CHATTY = ("httpcore", "httpx", "uvicorn", "uvicorn.access", "uvicorn.error", "watchfiles")


def configure(
    level: str = "info",
    *,
    pretty: bool | None = None,
    to: TextIO | None = None,
    replica: str = "",
) -> None:
    """Send all logs of the process to a stream, standard error by default.

    `level` is one of `LEVELS` in any case; `pretty` defaults to whether the stream is a terminal;
    every line says `replica`, if that is given. Raises ValueError for an unknown level.
    """
    if level.lower() not in LEVELS:
        raise ValueError(f"unknown log level {level!r}: expected one of {', '.join(LEVELS)}")
    number = logging.getLevelNamesMapping()[level.upper()]
    stream = sys.stderr if to is None else to
    common, rendering = _processors(pretty=stream.isatty() if pretty is None else pretty)
    if replica:
        common.append(_named(replica))
    structlog.configure(
        processors=[*common, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    _route_standard_logging(number, stream, common, rendering)


def get_logger() -> FilteringBoundLogger:
    """The logger of vconflow; it follows `configure` whenever that is called."""
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


def debug_enabled() -> bool:
    """Whether DEBUG lines are written: asked before one is made up on a busy path."""
    return _ROOT.level <= logging.DEBUG


def _processors(*, pretty: bool) -> tuple[list[Processor], list[Processor]]:
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    # Tracebacks never show local variables: these hold conversations and credentials.
    if pretty:
        console = structlog.dev.ConsoleRenderer(
            exception_formatter=structlog.dev.plain_traceback, timestamp_key="time"
        )
        return common, [console]
    lines = structlog.processors.JSONRenderer(serializer=json.dumps, default=str)
    return common, [structlog.processors.format_exc_info, lines]


def _named(replica: str) -> Processor:
    def add_name(_logger: object, _method: str, line: EventDict) -> EventDict:
        line.setdefault("replica", replica)
        return line

    return add_name


def _route_standard_logging(
    level: int, stream: TextIO, common: list[Processor], rendering: list[Processor]
) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *common],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = _ROOT
    root.handlers = [handler]
    root.setLevel(level)
    for name in _CHATTY:
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
        logger.setLevel(level if level <= logging.DEBUG else max(level, logging.WARNING))
    logging.captureWarnings(capture=True)
