"""Running the links of a chain on a vCon in memory."""

import asyncio
import time
from typing import assert_never

from vconflow.errors import Permanent, Retryable
from vconflow.pipeline.chain import Step
from vconflow.pipeline.retry import is_retryable
from vconflow.pipeline.run import Run
from vconflow.ports.link import Continue, Halt, LinkRun, Outcome, Replace, Route
from vconflow.telemetry import events

__all__ = ["StepFailed", "run_step"]


class StepFailed(Exception):
    """A step of a chain failed; `stage` names it as dead letters do."""

    def __init__(self, stage: str, error: BaseException) -> None:
        super().__init__(f"{stage}: {error}")
        self.stage = stage
        self.error = error


async def run_step(run: Run, step: Step, remaining: float | None) -> Outcome:
    """Run one link; `remaining` seconds are left of the chain's time. Raises StepFailed."""
    seconds = step.timeout if remaining is None else min(step.timeout, remaining)
    stage = f"link:{step.name}"
    failed_before = run.progress.attempts if run.progress.stage == stage else 0
    link_run = LinkRun(step.name, run.chain.name, run.entry.list, run.entry.id, failed_before + 1)
    started = time.perf_counter()
    try:
        async with asyncio.timeout(seconds):
            outcome = _checked(await step.link(run.vcon, link_run), step, run)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Not we were cancelled, but something that the link was waiting for.
        _report(run, step, "retryable", started)
        raise StepFailed(stage, Retryable("cancelled from inside")) from error
    except TimeoutError as error:
        _report(run, step, "timeout", started)
        raise StepFailed(stage, _timed_out(error, seconds)) from error
    # Foreign code: it may raise anything, SystemExit included, and must not hurt its siblings.
    except BaseException as error:
        _report(run, step, "retryable" if is_retryable(error) else "permanent", started)
        raise StepFailed(stage, error) from error
    _report(run, step, _word(outcome), started)
    if link_run.expire_seconds is not None:
        run.expire_seconds = link_run.expire_seconds
    return outcome


def _checked(outcome: object, step: Step, run: Run) -> Outcome:
    if not isinstance(outcome, Continue | Halt | Replace | Route):
        raise Permanent(
            f"link {step.name!r} returned {type(outcome).__name__}, which is no outcome"
        )
    if run.vcon.uuid != run.uuid:
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


def _timed_out(error: TimeoutError, seconds: float) -> Exception:
    # The link's own TimeoutError says more than ours; asyncio's has no text.
    return Retryable(str(error) or f"took over {seconds:g} s")


def _report(run: Run, step: Step, outcome: str, started: float) -> None:
    events.link_done(run.chain.name, step.name, outcome, time.perf_counter() - started)
