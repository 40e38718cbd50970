"""Telling a chain's tracers where a vCon is.

They are told after what a paid link did is safe in Redis, and before the next link: what fails
here repeats no link. Time limits, retries, metrics and logs of every tracer are here.
"""

import asyncio
import time

from vconflow.errors import Retryable
from vconflow.pipeline.breaker import Breaker, Breakers, Paused
from vconflow.pipeline.cancelling import foreign_call, is_told_to_end
from vconflow.pipeline.chain import TracerUnit
from vconflow.pipeline.run import Run
from vconflow.pipeline.steps import StepFailed, admit, failed_step, timed_out
from vconflow.pipeline.time_limit import within
from vconflow.pipeline.usage import Usage
from vconflow.ports.tracer import Passage
from vconflow.telemetry import events

__all__ = ["later", "ping_tracer", "tell_tracers"]

_LONGEST_PING = 5.0


async def tell_tracers(run: Run, breakers: Breakers) -> float:
    """Tell each tracer that does not know it yet where the vCon is; how many seconds that took.

    Raises StepFailed when one that is required cannot be told.
    """
    started = time.monotonic()
    passage = _passage(run)
    for unit in run.chain.tracers:
        if unit.name not in run.told:
            await _tell(run, unit, passage, breakers.of(unit.breaker))
            run.told = (*run.told, unit.name)
    return time.monotonic() - started


def later(deadline: float | None, seconds: float) -> float | None:
    """The end of a chain's time: what tracers take is none of the links' time."""
    return None if deadline is None else deadline + seconds


async def ping_tracer(unit: TracerUnit, usage: Usage) -> None:
    """Raise what hinders a tracer from being told something now."""
    with usage:
        async with foreign_call(min(_LONGEST_PING, unit.timeout)):
            await unit.tracer.ping()


def _passage(run: Run) -> Passage:
    steps, done = run.chain.steps, run.next_link
    is_through = run.halted or done >= len(steps)
    return Passage(
        chain=run.chain.name,
        link=steps[done - 1].name if done else "",
        next_link="" if is_through else steps[done].name,
        in_uuid=run.came_from or run.uuid,
        out_uuid=run.uuid,
        document=run.safe,
        before=run.before or None,
    )


async def _tell(run: Run, unit: TracerUnit, passage: Passage, breaker: Breaker) -> None:
    started = time.perf_counter()
    try:
        await _ask(unit, passage, breaker)
    except StepFailed as failed:
        outcome = "skipped" if isinstance(failed.error, Paused) else "failed"
        _report(run, unit, outcome, started, failed.error)
        if unit.tracer.required:
            run.error_type = type(failed.error).__name__
            raise
    else:
        _report(run, unit, "ok", started)


async def _ask(unit: TracerUnit, passage: Passage, breaker: Breaker) -> None:
    admit(unit.breaker, breaker)
    try:
        await within(unit.timeout, unit.tracer.trace(passage))
    except asyncio.CancelledError as error:
        if is_told_to_end():
            raise
        raise StepFailed(unit.breaker, Retryable("cancelled from inside")) from error
    except TimeoutError as error:
        raise failed_step(unit.breaker, timed_out(error, unit.timeout), breaker) from error
    # Foreign code: it may raise anything, and a vCon must not suffer from it unless it has to.
    except BaseException as error:
        raise failed_step(unit.breaker, error, breaker) from error
    breaker.succeeded()


def _report(
    run: Run,
    unit: TracerUnit,
    outcome: str,
    started: float,
    error: BaseException | None = None,
) -> None:
    seconds = time.perf_counter() - started
    events.tracer_done(unit.name, outcome, seconds, run.chain.name, run.uuid, error)
    if run.span is not None:
        told = {"vconflow.tracer": unit.name, "vconflow.outcome": outcome}
        error_type = type(error).__name__ if error else ""
        run.span.child(f"tracer {unit.name}", seconds, told, error_type)
