"""Running the links of a chain on a vCon in memory."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import assert_never

from vconflow.errors import Permanent, Refused, Retryable
from vconflow.pipeline.breaker import Breaker, Paused
from vconflow.pipeline.cancelling import is_told_to_end
from vconflow.pipeline.chain import Step
from vconflow.pipeline.retry import is_outage, is_retryable
from vconflow.pipeline.run import Run
from vconflow.pipeline.time_limit import within
from vconflow.ports.link import Continue, Halt, LinkRun, Outcome, Replace, Route
from vconflow.telemetry import events

__all__ = ["StepFailed", "admit", "failed_step", "run_step", "timed_out"]


_OUTCOMES = (Continue, Halt, Replace, Route)


class StepFailed(Exception):
    """A step of a chain failed; `stage` names it as dead letters do.

    `breakers` names what has to come back, when nothing but outages stood in the way.
    """

    def __init__(self, stage: str, error: BaseException, breakers: tuple[str, ...] = ()) -> None:
        super().__init__(f"{stage}: {error}")
        self.stage = stage
        self.error = error
        self.breakers = breakers


async def run_step(
    run: Run,
    step: Step,
    remaining: float | None,
    breaker: Breaker,
    keeper: Callable[[], Awaitable[None]] | None = None,
) -> Outcome:
    """Run one link; `remaining` seconds are left of the chain's time. Raises StepFailed."""
    seconds = step.timeout if remaining is None else min(step.timeout, remaining)
    stage = f"link:{step.name}"
    admit(stage, breaker)
    failed_before = run.progress.attempts if run.progress.stage == stage else 0
    entry = run.entry
    link_run = LinkRun(
        step.name, run.chain.name, entry.list, entry.id, failed_before + 1, keeper=keeper
    )
    started = time.perf_counter()
    try:
        outcome = _checked(await within(seconds, step.link(run.vcon, link_run)), step, run)
    except asyncio.CancelledError as error:
        if is_told_to_end():
            raise
        _report(run, step, "retryable", started, error)
        raise StepFailed(stage, Retryable("cancelled from inside")) from error
    except TimeoutError as error:
        _report(run, step, "timeout", started, error)
        # When it was the chain that ran out of time, this link need not be to blame.
        blamed = breaker if seconds == step.timeout else None
        raise failed_step(stage, timed_out(error, seconds), blamed) from error
    # Foreign code: it may raise anything, SystemExit included, and must not hurt its siblings.
    except BaseException as error:
        word = "retryable" if is_retryable(error) else "permanent"
        _report(run, step, word, started, error)
        raise failed_step(stage, error, breaker) from error
    _report(run, step, _word(outcome), started)
    breaker.succeeded()
    if link_run.expire_seconds is not None:
        run.expire_seconds = link_run.expire_seconds
    return outcome


def admit(stage: str, breaker: Breaker) -> None:
    """Return when the step may be tried. Raises StepFailed while it is known to be in vain."""
    try:
        breaker.admit()
    except Paused as error:
        raise StepFailed(stage, error, (breaker.name,)) from None


def failed_step(stage: str, error: BaseException, breaker: Breaker | None) -> StepFailed:
    """The failure of a step, after telling the breaker, if any is concerned, what it means."""
    if breaker is not None and isinstance(error, Permanent | Refused):
        breaker.answered()
    if breaker is None or not is_outage(error):
        return StepFailed(stage, error)
    breaker.failed(error)
    return StepFailed(stage, error, (breaker.name,))


def _checked(outcome: object, step: Step, run: Run) -> Outcome:
    if not isinstance(outcome, _OUTCOMES):
        raise Permanent(
            f"link {step.name!r} returned {type(outcome).__name__}, which is no outcome"
        )
    if not run.vcon.has_uuid(run.uuid):
        raise Permanent(f"link {step.name!r} changed the uuid")
    return outcome


def _word(outcome: Outcome) -> str:
    match outcome:
        case Continue():
            return "continue"
        case Halt():
            return "halt"
        case Replace():
            return "replace"
        case Route():
            return "route"
        case _:
            assert_never(outcome)


def timed_out(error: TimeoutError, seconds: float) -> Exception:
    """What it means that a step was not through in time."""
    # The link's own TimeoutError says more than ours; asyncio's has no text.
    return Retryable(str(error) or f"took over {seconds:g} s")


def _report(
    run: Run, step: Step, outcome: str, started: float, error: BaseException | None = None
) -> None:
    seconds = time.perf_counter() - started
    events.link_done(run.chain.name, step.name, outcome, seconds)
    run.ran_link(step.name, seconds, outcome, "" if error is None else type(error).__name__)
