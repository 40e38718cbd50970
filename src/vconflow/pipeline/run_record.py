"""What the history of a vCon says of an attempt to carry it through its chain."""

from vconflow.pipeline.run import Run
from vconflow.ports.history import HistoryRecord, Kind
from vconflow.ports.ledger import Bury, Defer, Finish, Progress

__all__ = ["record_of"]

_ERROR_LIMIT = 200
"""Characters of an error that are kept; the dead letter has more of it."""


def record_of(run: Run, then: Finish | Defer | Bury | None) -> HistoryRecord | None:
    """The record that goes with a commit; None for one that is only a step on the way."""
    match then:
        case Finish(deleted=False):
            return HistoryRecord(
                kind="halted" if run.halted else "completed",
                chain=run.chain.name,
                list=run.entry.list,
                entry=run.entry.id,
                lists=tuple([target.list for target in then.targets]),
                links=tuple(run.links),
                storages=tuple(run.storages),
            )
        case Defer(progress) if progress.stage:
            return _failure(run, "failed", progress, run.error_type)
        case Bury():
            return _failure(run, "dead-lettered", then.progress, then.error_type)
    return None


def _failure(run: Run, kind: Kind, progress: Progress, error_type: str) -> HistoryRecord:
    return HistoryRecord(
        kind=kind,
        chain=run.chain.name,
        list=run.entry.list,
        entry=run.entry.id,
        links=tuple(run.links),
        storages=tuple(run.storages),
        attempts=progress.attempts,
        stage=progress.stage,
        error_type=error_type,
        error=progress.error[:_ERROR_LIMIT],
    )
