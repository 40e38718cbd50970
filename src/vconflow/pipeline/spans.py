"""The span of one attempt to carry an entry through its chain."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from vconflow.pipeline.run import Run
from vconflow.telemetry.spans import Spans

__all__ = ["attempt_span"]


@contextmanager
def attempt_span(spans: Spans, run: Run) -> Iterator[None]:
    """Give the run a span of its own; it goes on with the trace that the entry brought along.

    An entry without one has begun a trace at its first attempt, if it had another before.
    """
    entry, chain = run.entry, run.chain.name
    attributes = {"vconflow.chain": chain, "vconflow.list": entry.list, "vconflow.uuid": entry.uuid}
    run.span = span = spans.begin(
        f"chain {chain}", "consumer", entry.trace or run.progress.trace, attributes
    )
    span.set("vconflow.entry", entry.id)
    span.set("vconflow.attempt", run.progress.attempts + 1)
    try:
        with span.current():
            yield
    except asyncio.CancelledError:
        span.set("vconflow.outcome", "cancelled")
        raise
    finally:
        span.end()
