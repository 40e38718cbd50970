"""Storages that may have got from us what others had replaced or deleted meanwhile."""

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vconflow.pipeline.cancelling import cancel_all
from vconflow.pipeline.commits import Commits, Deleted
from vconflow.pipeline.fanout import Fanout
from vconflow.pipeline.removal import stored_vcon
from vconflow.pipeline.retry import RetryPolicy, is_retryable
from vconflow.pipeline.run import Run
from vconflow.ports.clock import Clock
from vconflow.telemetry import events

__all__ = ["LateWrites"]

_PAUSES = RetryPolicy(base=0.5, max=60.0)


@dataclass
class _Late:
    """`storages` had `rev` from us, 0 if that may be somebody else's; `behind` do not have it."""

    uuid: str
    storages: tuple[str, ...]
    rev: int
    behind: tuple[str, ...] = ()


class LateWrites:
    """Gives storages what Redis has by now, when an attempt ends that may have been too late.

    Nobody else knows of it, so this goes on until it is done, in tasks of its own: whoever lets go
    of the entry does not end it.
    """

    def __init__(self, commits: Commits, fanout: Callable[[], Fanout], clock: Clock) -> None:
        self._commits = commits
        self._fanout = fanout
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    async def put_right(self, run: Run, storages: Sequence[str], rev: int) -> None:
        """Begin with it, and wait until everything was tried once.

        `rev` is what these storages have from us; 0 when that number may be somebody else's too.
        """
        tried = asyncio.Event()
        task = asyncio.create_task(self._work(_Late(run.uuid, tuple(storages), rev), tried))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await tried.wait()

    async def drain(self, grace: float) -> None:
        """Give it `grace` seconds more, then give it up."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        await cancel_all(self._tasks)

    async def _work(self, late: _Late, tried: asyncio.Event) -> None:
        try:
            for attempt in itertools.count(1):
                failures = await self._round(late)
                if not failures:
                    return
                tried.set()
                error = next(iter(failures.values()))
                events.late_write_waits(late.uuid, failures)
                await self._clock.sleep(_PAUSES.delay(attempt, error, random.random))
        except asyncio.CancelledError:
            events.late_write_left(late.uuid, late.storages)
            raise
        except Exception as error:  # noqa: BLE001  # nobody waits for the end of it
            events.unhandled("late write", error)
        finally:
            tried.set()

    async def _round(self, late: _Late) -> dict[str, Exception]:
        """Look, write, and look again, until they have what Redis has; what failed for now."""
        fanout = self._fanout()
        with fanout.usage:
            while True:
                try:
                    found = await self._commits.fetch(late.uuid)
                except Deleted:
                    failures = await self._commits.remove_copies(late.uuid, fanout, late.storages)
                    return _passing(failures)
                if found.document is None:
                    return {}
                if found.rev != late.rev:
                    late.rev, late.behind = found.rev, late.storages
                if not late.behind:
                    return {}
                newest = stored_vcon(late.uuid, found.rev, found.document)
                failures = _passing(await fanout.store(newest, late.behind))
                late.behind = tuple(failures)
                if failures:
                    return failures


def _passing(failures: dict[str, Exception]) -> dict[str, Exception]:
    """What may succeed later; a storage that refuses a vCon for good never had ours."""
    return {name: error for name, error in failures.items() if is_retryable(error)}
