"""The driver without what it would import for metrics that nobody switches on."""

import importlib
import sys

__all__ = ["import_bare"]

_UNWANTED = ("opentelemetry.metrics", "opentelemetry.sdk.metrics")
"""The driver imports both wherever they are installed: a third more time, and 4 MB."""


def import_bare() -> None:
    """Import `redis` as if OpenTelemetry's metrics were not installed.

    Whoever imported something of all that before has it as it is.
    """
    hidden = [name for name in _UNWANTED if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # that is how a module is missing
    try:
        importlib.import_module("redis.asyncio")
    finally:
        for name in hidden:
            del sys.modules[name]
