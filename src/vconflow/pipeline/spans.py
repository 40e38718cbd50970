"""The span of one attempt to carry an entry through its chain."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from vconflow.pipeline.run import Run
from vconflow.telemetry.spans import Spans

__all__ = ["in_span"]

ResultT = TypeVar("ResultT")


async def in_span(spans: Spans, run: Run, attempt: Awaitable[ResultT]) -> ResultT:
    """Await it within a span of its own, which goes on with the trace that the entry brought along.

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
            return await attempt
    except asyncio.CancelledError:
        span.set("vconflow.outcome", "cancelled")
        raise
    finally:
        span.end()
