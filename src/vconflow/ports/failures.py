"""Failures of several things that a link tried at the same time."""

from collections.abc import Sequence

from vconflow.errors import Overloaded, Permanent, Refused, Retryable, SourceAway, Throttled

__all__ = ["Failure", "joined", "located"]

Failure = Retryable | Permanent


def joined(failures: Sequence[Failure], message: str, *, repeats: bool = False) -> Failure:
    """One failure for several: Retryable if trying again can help any, after the longest wait.

    With `repeats`, the next attempt does again what succeeded beside them: then a rate limit counts
    like any other failure.
    """
    retryable = [failure for failure in failures if isinstance(failure, Retryable)]
    if not retryable:
        return Permanent(message)
    waits = [failure.retry_after for failure in retryable if failure.retry_after is not None]
    kind = _kind(retryable)
    if repeats and kind is Throttled:
        kind = Retryable
    return kind(message, retry_after=max(waits, default=None))


def _kind(failures: Sequence[Retryable]) -> type[Retryable]:
    """What they are all together: the one that says most of what there is to wait for."""
    kinds = {type(failure) for failure in failures}
    if kinds == {Overloaded}:
        return Overloaded
    if kinds <= {Overloaded, Throttled}:
        return Throttled
    if kinds <= {Overloaded, Throttled, Refused}:
        return Refused
    return SourceAway if kinds <= {Overloaded, SourceAway} else Retryable


def located(failure: Failure, place: str) -> Failure:
    """The same failure, saying where in the vCon it happened: `dialog[2]: ...`."""
    return joined([failure], f"{place}: {failure}")
