"""Writing a vCon to Redis while one of its links is still at work on it."""

import asyncio

from vconflow.errors import Permanent, Unavailable
from vconflow.pipeline.commits import Commits, Deleted, Lost
from vconflow.pipeline.run import Run
from vconflow.ports.ledger import Defer

__all__ = ["Keeper"]


class Keeper:
    """What `LinkRun.keep` does for one run of a paid link. Calls at the same time take turns."""

    def __init__(self, commits: Commits, run: Run) -> None:
        self._commits = commits
        self._run = run
        self._turn = asyncio.Lock()
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_over = False

    async def __call__(self) -> None:
        """See `LinkRun.keep`."""
        if self._is_over:
            # What is written now would undo what was decided about the entry.
            raise RuntimeError("this link has ended: what it left behind is kept no more")
        # A link that runs out of its time must not leave open what became of the commit.
        task = asyncio.create_task(self._keep())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        await asyncio.shield(task)

    async def settled(self) -> None:
        """Wait until nothing is being written; from now on nothing will be."""
        self._is_over = True
        try:
            while self._under_way:
                await asyncio.wait(self._under_way)
        except asyncio.CancelledError:
            for task in self._under_way:
                task.cancel()
            raise

    async def _keep(self) -> None:
        run = self._run
        async with self._turn:
            if run.vcon.uuid != run.uuid:
                raise Permanent("changed the uuid")
            run.hold()
            if not run.dirty:
                return
            try:
                # Where somebody else has written meanwhile, both are joined when the link is done:
                # it goes on with the vCon that it has in its hands.
                await self._commits.try_commit(run, Defer(run.so_far()))
            except (Lost, Deleted):
                # The commit that follows finds out by itself what to do about it.
                raise Unavailable("the vCon is not this link's any more") from None
