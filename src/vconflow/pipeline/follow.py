"""Following one other server: its egress list is pulled into a list here.

An id that has come out of the other side is written down before anything else, and crossed out
when its vCon is stored here; so a crash loses none. What was stored and not crossed out is fetched
again, and recognised by its idempotency key.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vconflow.errors import Permanent, Retryable
from vconflow.pipeline.follow_page import Accepting, settle_page
from vconflow.pipeline.retry import RetryPolicy
from vconflow.ports.clock import Clock
from vconflow.ports.follow import Follow, FollowJournal, Handed, Remote
from vconflow.telemetry import events

__all__ = ["Follower", "FollowerState"]

_PAGE = 64
_MOST_WAITING = 1000
"""Ids written down, beyond which nothing more is pulled."""
_MOST_PULLED = 10_000
_AGAIN = 10.0
"""Seconds after which a document is fetched again that could not be had."""
_BACKOFF = RetryPolicy(base=1.0, max=60.0)


@dataclass
class FollowerState:
    """How a follower is; `failures` counts rounds in a row, `error` is empty when all is well."""

    failures: int = 0
    error: str = ""


class Follower:
    """Pulls until it is cancelled; `finish` then waits for ids on their way to the journal."""

    def __init__(
        self,
        follow: Follow,
        remote: Remote,
        journal: FollowJournal,
        ingest: Accepting,
        clock: Clock,
        random: Callable[[], float],
        stopping: Callable[[], bool],
        *,
        lease: float,
    ) -> None:
        self.follow = follow
        self.state = FollowerState()
        self._remote = remote
        self._journal = journal
        self._ingest = ingest
        self._clock = clock
        self._random = random
        self._stopping = stopping
        self._lease = lease
        self._limit = min(follow.limit, _MOST_PULLED)
        self._taking: asyncio.Task[int] | None = None

    async def run(self) -> None:
        """Follow for ever; nothing is pulled any more once the process is `stopping`."""
        while True:
            await self._clock.sleep(await self.round())

    async def round(self) -> float:
        """Store what was pulled, pull, and store that; the seconds until the next round."""
        try:
            trouble = await self._settle()
            # It may be these vCons alone that cannot be had: others do not wait for them.
            count = await self._pull()
            if count:
                trouble = await self._settle()
            if trouble is not None:
                return self._failed(trouble)
        except (Retryable, Permanent) as error:
            return self._failed(error)
        # A bug, or an answer nobody thought of: the ids are written down, and others go on.
        except Exception as error:  # noqa: BLE001
            events.unhandled(f"follower {self.follow.name}", error)
            return self._failed(error)
        self._succeeded()
        return 0.0 if count >= self._limit else self.follow.interval

    async def finish(self) -> None:
        """After a cancellation: let ids that may have left the other side be written down."""
        if self._taking is not None:
            await asyncio.gather(self._taking, return_exceptions=True)

    def _failed(self, error: Exception) -> float:
        state = self.state
        state.failures += 1
        state.error = str(error) or type(error).__name__
        delay = _BACKOFF.delay(state.failures, error, self._random)
        events.follower_failed(self.follow.name, error, state.failures, delay)
        return delay

    def _succeeded(self) -> None:
        if self.state.failures:
            events.follower_back(self.follow.name)
        self.state.failures, self.state.error = 0, ""
        events.follower_succeeded(self.follow.name, self._clock.now())

    async def _pull(self) -> int:
        name = self.follow.name
        if not self.follow.is_read:
            raise Retryable(f"nothing is pulled: no chain reads the list '{self.follow.into}'")
        waiting, parked = await self._journal.waiting(name)
        events.follower_measured(name, waiting, parked)
        if waiting >= _MOST_WAITING:
            raise Retryable(f"nothing more is pulled: {waiting} ids wait for their vCons")
        # Redis takes writes, and it is our turn: now ids may leave the other side.
        if self._stopping() or not await self._journal.hold(name, self._lease):
            return 0
        self._taking = asyncio.create_task(self._take(), name=f"pull {name}")
        return await asyncio.shield(self._taking)

    async def _take(self) -> int:
        handover = await self._remote.pull(self._limit)
        if handover.handed:
            await self._write_down(handover.handed)
        if handover.receipts:
            try:
                await self._remote.acknowledge(handover.receipts)
            except Retryable as error:
                # They come again, and are recognised by their names.
                events.follower_failed(self.follow.name, error, 0, 0.0)
        return len(handover.handed)

    async def _write_down(self, handed: Sequence[Handed]) -> None:
        attempt = 0
        while True:
            try:
                await self._journal.add(self.follow.name, handed, self._clock.now())
                return
            except (Retryable, Permanent) as error:
                attempt += 1
                delay = min(_BACKOFF.delay(attempt, error, self._random), 5.0)
                events.follower_failed(self.follow.name, error, attempt, delay)
                await self._sleep_or_tell(delay, handed)

    async def _sleep_or_tell(self, delay: float, handed: Sequence[Handed]) -> None:
        try:
            await self._clock.sleep(delay)
        except asyncio.CancelledError:
            # The process ends while Redis is away: this line is all that is left of them.
            events.follower_unwritten(self.follow.name, [item.uuid for item in handed])
            raise

    async def _settle(self) -> Retryable | None:
        """Store all vCons that are due; or say why none of the last ones could be had.

        Raises what keeps every vCon from being had or stored.
        """
        name = self.follow.name
        while due := await self._journal.due(name, self._clock.now(), _PAGE):
            page = await settle_page(self.follow, due, self._remote, self._ingest, self._clock)
            await self._journal.done(name, page.done)
            await self._journal.park(name, page.parked)
            await self._journal.postpone(name, page.again, self._clock.now() + _AGAIN)
            events.follower_pulled(name, "stored", len(page.done))
            events.follower_pulled(name, "again", len(page.again))
            for parked in page.parked:
                events.follower_parked(name, parked.uuid, parked.reason, parked.error)
            if page.stopped is not None:
                raise page.stopped
            if page.barren is not None:
                return page.barren
        return None
