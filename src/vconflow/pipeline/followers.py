"""All followers of this replica: those whose turn it has, as configured now."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from vconflow.errors import NotFound, Permanent, Retryable
from vconflow.pipeline.cancelling import cancel_all
from vconflow.pipeline.follow import Follower, FollowerState
from vconflow.pipeline.follow_page import Accepting
from vconflow.pipeline.supervisor import supervised
from vconflow.ports.clock import Clock
from vconflow.ports.follow import Follow, FollowerStatus, FollowJournal, Parked, Remote
from vconflow.telemetry import events

__all__ = ["Followers", "following"]

_FINISH = 10.0
"""Seconds that answers of other sides are waited for when the process stops."""


class Followers:
    """One replica at a time has the turn of a follower, for `lease` seconds unless it renews.

    Two at a time would do no harm: an id is written down by whoever pulled it, and stored once.
    """

    def __init__(
        self,
        connect: Callable[[Follow], Remote],
        journal: FollowJournal,
        ingest: Accepting,
        clock: Clock,
        stopping: Callable[[], bool],
        *,
        lease: float,
    ) -> None:
        self._connect = connect
        self._journal = journal
        self._ingest = ingest
        self._clock = clock
        self._stopping = stopping
        self._lease = lease
        self._wanted: dict[str, Follow] = {}
        self._running: dict[str, tuple[Follower, asyncio.Task[None]]] = {}
        self._finishing: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    def configure(self, follows: Iterable[Follow]) -> None:
        """Follow these from now on, and nobody else. Returns at once."""
        self._wanted = {follow.name: follow for follow in follows}
        self._changed.set()

    @property
    def states(self) -> dict[str, FollowerState]:
        """How the followers are whose turn this replica has."""
        return {name: follower.state for name, (follower, _) in self._running.items()}

    async def followers(self) -> list[FollowerStatus]:
        """See `FollowerControl.followers`."""
        return [await self._status(follow) for follow in self._wanted.values()]

    async def _status(self, follow: Follow) -> FollowerStatus:
        waiting, parked = await self._journal.waiting(follow.name)
        state = self.states.get(follow.name)
        return FollowerStatus(
            name=follow.name,
            egress_list=follow.egress_list,
            follower_ingress_list=follow.into,
            here=state is not None,
            error=state.error if state else "",
            waiting=waiting,
            parked=parked,
        )

    async def parked(self, name: str, count: int) -> list[Parked]:
        """See `FollowerControl.parked`."""
        return await self._journal.parked(self._known(name), count)

    async def retry(self, name: str) -> int:
        """See `FollowerControl.retry`."""
        return await self._journal.unpark(self._known(name), self._clock.now())

    async def drop(self, name: str) -> int:
        """See `FollowerControl.drop`."""
        return await self._journal.drop(self._known(name))

    def _known(self, name: str) -> str:
        if name not in self._wanted:
            raise NotFound(f"Follower '{name}' is not configured")
        return name

    async def run(self) -> None:
        """Take turns, keep them, and follow what is configured, for ever."""
        while True:
            self._changed.clear()
            await self._reconcile()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._lease / 3):
                    await self._changed.wait()

    async def _reconcile(self) -> None:
        for name, (follower, _) in list(self._running.items()):
            if self._wanted.get(name) != follower.follow:
                await self._end(name, is_removed=name not in self._wanted)
        for name, follow in list(self._wanted.items()):
            try:
                has_turn = await self._journal.hold(name, self._lease)
            except (Retryable, Permanent):
                continue  # Redis is away: who has the turn goes on, as far as that goes
            if has_turn and name not in self._running:
                self._begin(follow)
            elif not has_turn and name in self._running:
                await self._end(name)

    def _begin(self, follow: Follow) -> None:
        remote = self._connect(follow)
        follower = Follower(
            follow,
            remote,
            self._journal,
            self._ingest,
            self._clock,
            random.random,
            self._stopping,
            lease=self._lease,
        )
        task = asyncio.create_task(follower.run(), name=f"follower {follow.name}")
        self._running[follow.name] = (follower, task)
        events.follower_started(follow.name, follow.into)

    async def _end(self, name: str, *, is_removed: bool = False) -> None:
        follower, task = self._running.pop(name)
        await cancel_all([task])
        # Only the end of the process is a reason to lose ids that are on their way.
        finishing = asyncio.create_task(follower.finish(), name=f"finish {name}")
        self._finishing.add(finishing)
        finishing.add_done_callback(self._finishing.discard)
        with contextlib.suppress(Retryable, Permanent):
            await self._journal.release(name)
            waiting, _ = await self._journal.waiting(name)
            events.follower_stopped(name, waiting, is_removed=is_removed)

    async def stop(self) -> None:
        """End all, and give their turns to other replicas."""
        await asyncio.gather(*map(self._end, list(self._running)))
        if self._finishing:
            await asyncio.wait(self._finishing, timeout=_FINISH)
        await cancel_all(self._finishing)


@asynccontextmanager
async def following(followers: Followers) -> AsyncIterator[Followers]:
    """Run them; at the end nothing is on its way from another server any more."""
    async with supervised() as supervisor:
        supervisor.start("followers", followers.run())
        try:
            yield followers
        finally:
            await supervisor.stop("followers")
            await followers.stop()
