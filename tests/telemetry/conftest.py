"""Logging of the process, put back after every test."""

import logging
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Leave the process' logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    before = structlog.get_config() if structlog.is_configured() else None
    yield
    root.handlers = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()
    if before is not None:
        structlog.configure(**before)
