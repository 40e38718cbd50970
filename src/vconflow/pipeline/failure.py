"""What becomes of an entry whose step failed: another attempt, a wait, or a dead letter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from vconflow.errors import Overloaded, Permanent, Retryable, SourceAway, Throttled, Unavailable
from vconflow.pipeline.breaker import Breakers, Paused
from vconflow.pipeline.fanout import Fanout, breaker_of
from vconflow.pipeline.retry import RetryPolicy, asked_to_wait, is_outage, is_retryable
from vconflow.pipeline.run import Run
from vconflow.pipeline.steps import StepFailed
from vconflow.pipeline.tracebacks import trimmed_traceback
from vconflow.ports.clock import Clock
from vconflow.ports.ledger import Bury, Defer, Progress
from vconflow.telemetry import events

__all__ = ["Failures", "storages_failed"]

_ERROR_LIMIT = 2000
"""Characters of an error text that are kept."""
_LONGEST_THROTTLED = 24 * 3600.0
"""Seconds for which nothing but a rate limit makes no dead letter."""


@dataclass(frozen=True)
class Failures:
    """Decides by the retry policy of the step that failed, and by the breakers it needs.

    What an outage stops is parked until the outage ends, and has all its attempts then: a storage
    that is down makes no dead letters.
    """

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
        """Park it, try again while the policy allows it, or give it up."""
        progress = self._failed_again(run, failed)
        if not is_retryable(failed.error):
            return self._bury(run, failed, progress)
        if isinstance(failed.error, Unavailable | Overloaded):
            # Redis was away, or its turn did not come: nobody's fault, and it costs no attempt.
            return self._defer(run, failed, _uncounted(progress))
        if self._breakers.all_open(failed.breakers):
            return self._park(run, failed, progress)
        if isinstance(failed.error, Throttled) and _waited(progress) < _LONGEST_THROTTLED:
            # How much we ask is refused, not this vCon. Only one that is never let through ends.
            return self._defer(run, failed, _uncounted(progress))
        if progress.attempts < self._policy(run, failed.stage).attempts:
            return self._defer(run, failed, progress)
        if isinstance(failed.error, SourceAway) and self._none_succeeded(run, failed, failed.stage):
            # It may be our own way out that is broken: that must not empty a queue.
            return self._defer(run, failed, progress)
        if self._works_for_nobody(run, failed):
            for name in failed.breakers:
                self._breakers.of(name).trip()
            return self._park(run, failed, progress)
        return self._bury(run, failed, progress)

    def _failed_again(self, run: Run, failed: StepFailed) -> Progress:
        before, now = run.progress, int(self.clock.now() * 1000)
        is_same = before.stage == failed.stage
        throttled_since = (before.throttled_since if is_same else 0) or now
        return run.remember(
            stage=failed.stage,
            attempts=before.attempts + 1 if is_same else 1,
            throttled_since=throttled_since if isinstance(failed.error, Throttled) else 0,
            first_failure=before.first_failure or now,
            last_failure=now,
            error=_text(failed.error),
            due=0,
            parked=(),
        )

    def _works_for_nobody(self, run: Run, failed: StepFailed) -> bool:
        """Whether nobody got through to it since the last attempt: then it is down.

        What a link calls may well refuse this one vCon with the same words as an outage, so there
        the breaker alone decides.
        """
        if failed.stage.startswith("link:") or not failed.breakers:
            return False
        return self._none_succeeded(run, failed, *failed.breakers)

    def _none_succeeded(self, run: Run, failed: StepFailed, *breakers: str) -> bool:
        """Whether nobody got through what these guard since the last attempt at the same step."""
        if run.progress.stage != failed.stage:
            return True
        since = run.progress.last_failure / 1000
        return all(self._breakers.of(name).last_success <= since for name in breakers)

    def _park(self, run: Run, failed: StepFailed, progress: Progress) -> Defer:
        """Have it wait; what it tried during the outage does not count."""
        asked = asked_to_wait(failed.error)
        due = int((self.clock.now() + asked) * 1000) if asked else 0
        events.parked(run.chain.name, run.entry.list, run.entry.uuid, failed.breakers)
        parked = msgspec.structs.replace(
            progress, attempts=0, throttled_since=0, due=due, parked=failed.breakers
        )
        return Defer(parked)

    def _defer(self, run: Run, failed: StepFailed, progress: Progress) -> Defer:
        policy = self._policy(run, failed.stage)
        assert isinstance(failed.error, Exception)
        attempt = max(1, progress.attempts)
        if isinstance(failed.error, Throttled):
            attempt = max(attempt, policy.after(_waited(progress)))
        delay = policy.delay(attempt, failed.error, self.random)
        due = int((self.clock.now() + delay) * 1000)
        entry = _failed_entry(run, failed)
        events.retry_scheduled(entry, failed.error, attempt=progress.attempts, delay=delay)
        return Defer(msgspec.structs.replace(progress, due=due))

    def _bury(self, run: Run, failed: StepFailed, progress: Progress) -> Bury:
        kind, text = type(failed.error).__name__, progress.error
        events.dead_lettered(_failed_entry(run, failed), kind, text, attempts=progress.attempts)
        trace = trimmed_traceback(failed.error)
        return Bury(progress, run.chain.name, failed.stage, kind, text, trace)

    def _policy(self, run: Run, stage: str) -> RetryPolicy:
        kind, _, names = stage.partition(":")
        if kind == "link":
            step = next((step for step in run.chain.steps if step.name == names), None)
            return step.retry if step else RetryPolicy()
        if kind == "tracer":
            tracer = next((it for it in run.chain.tracers if it.name == names), None)
            return tracer.retry if tracer else RetryPolicy()
        if kind == "storage":
            policies = [self.fanout.retry(name) for name in names.split(",")]
            return max(policies, key=lambda policy: policy.attempts)
        return RetryPolicy()

    @property
    def _breakers(self) -> Breakers:
        return self.fanout.breakers


def storages_failed(failures: Mapping[str, Exception]) -> StepFailed:
    """One failure for all storages that failed; an outage outranks a refusal, for it may end.

    Those that were not even asked count only when no other failed.
    """
    asked = {name: error for name, error in failures.items() if not isinstance(error, Paused)}
    told = asked or failures
    stage = "storage:" + ",".join(sorted(told))
    text = "; ".join(f"{name}: {_text(error)}" for name, error in sorted(told.items()))
    passing = {name: error for name, error in failures.items() if is_retryable(error)}
    if not any(is_retryable(error) for error in told.values()):
        return StepFailed(stage, _joined(Permanent(text), told))
    waits = [e.retry_after for e in passing.values() if isinstance(e, Retryable) and e.retry_after]
    only_throttled = all(isinstance(told[name], Throttled) for name in told.keys() & passing.keys())
    kind = Throttled if only_throttled else Retryable
    error = _joined(kind(text, retry_after=max(waits, default=None)), told)
    only_outages = all(is_outage(error) for error in passing.values())
    breakers = tuple(map(breaker_of, sorted(passing))) if only_outages else ()
    return StepFailed(stage, error, breakers)


def _uncounted(progress: Progress) -> Progress:
    return msgspec.structs.replace(progress, attempts=progress.attempts - 1)


def _waited(progress: Progress) -> float:
    """Seconds since the rate limit came up."""
    return (progress.last_failure - progress.throttled_since) / 1000


def _failed_entry(run: Run, failed: StepFailed) -> events.FailedEntry:
    return events.FailedEntry(run.chain.name, run.entry.list, run.entry.uuid, failed.stage)


def _joined(error: Permanent | Retryable, failures: Mapping[str, Exception]) -> Exception:
    # The first one's traceback stands for all.
    error.__cause__ = next(iter(failures.values()))
    return error


def _text(error: BaseException) -> str:
    return str(error)[:_ERROR_LIMIT] or type(error).__name__
