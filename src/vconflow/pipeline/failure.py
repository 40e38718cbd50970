"""What becomes of an entry whose step failed: another attempt later, or a dead letter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from vconflow.errors import Permanent, Retryable
from vconflow.pipeline.fanout import Fanout
from vconflow.pipeline.retry import RetryPolicy, is_retryable
from vconflow.pipeline.run import Run
from vconflow.pipeline.steps import StepFailed
from vconflow.ports.clock import Clock
from vconflow.ports.ledger import Bury, Defer
from vconflow.telemetry import events

__all__ = ["Failures", "storages_failed"]

_ERROR_LIMIT = 2000
"""Characters of an error text that are kept."""


@dataclass(frozen=True)
class Failures:
    """Decides by the retry policy of the step that failed."""

    fanout: Fanout
    clock: Clock
    random: Callable[[], float]
    poison_crashes: int = 3

    def check_crashes(self, run: Run) -> None:
        """An entry that keeps killing its replicas must not kill them all in turn."""
        if run.progress.crashes >= self.poison_crashes:
            message = f"the process died {run.progress.crashes} times while working on it"
            raise StepFailed("crash", Permanent(message))

    def decide(self, run: Run, failed: StepFailed) -> Defer | Bury:
        """Another attempt while the policy allows it, a dead letter otherwise."""
        now = int(self.clock.now() * 1000)
        before = run.progress
        attempts = before.attempts + 1 if before.stage == failed.stage else 1
        text = str(failed.error)[:_ERROR_LIMIT] or type(failed.error).__name__
        progress = run.remember(
            stage=failed.stage,
            attempts=attempts,
            first_failure=before.first_failure or now,
            error=text,
            due=0,
        )
        policy = self._policy(run, failed.stage)
        error = failed.error
        if isinstance(error, Exception) and is_retryable(error) and attempts < policy.attempts:
            delay = policy.delay(attempts, error, self.random)
            self._report_retry(run, failed, attempts, delay)
            due = now + int(delay * 1000)
            return Defer(msgspec.structs.replace(progress, due=due))
        self._report_death(run, failed, attempts, text)
        return Bury(progress, run.chain.name, failed.stage, type(error).__name__, text)

    def _policy(self, run: Run, stage: str) -> RetryPolicy:
        kind, _, names = stage.partition(":")
        if kind == "link":
            step = next((step for step in run.chain.steps if step.name == names), None)
            return step.retry if step else RetryPolicy()
        if kind == "storage":
            policies = [self.fanout.retry(name) for name in names.split(",")]
            return max(policies, key=lambda policy: policy.attempts)
        return RetryPolicy()

    @staticmethod
    def _report_retry(run: Run, failed: StepFailed, attempts: int, delay: float) -> None:
        entry = run.entry
        events.retry_scheduled(
            run.chain.name, entry.list, entry.uuid, failed.stage, failed.error, attempts, delay
        )

    @staticmethod
    def _report_death(run: Run, failed: StepFailed, attempts: int, text: str) -> None:
        entry, kind = run.entry, type(failed.error).__name__
        events.dead_lettered(
            run.chain.name, entry.list, entry.uuid, failed.stage, kind, text, attempts
        )


def storages_failed(failures: Mapping[str, Exception]) -> StepFailed:
    """One failure for all storages that failed; an outage outranks a refusal, for it may end."""
    stage = "storage:" + ",".join(sorted(failures))
    text = "; ".join(f"{name}: {error}" for name, error in sorted(failures.items()))
    outages = [error for error in failures.values() if is_retryable(error)]
    if not outages:
        return StepFailed(stage, Permanent(text))
    waits = [e.retry_after for e in outages if isinstance(e, Retryable) and e.retry_after]
    return StepFailed(stage, Retryable(text, retry_after=max(waits, default=None)))
