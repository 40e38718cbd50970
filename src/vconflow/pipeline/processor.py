"""Carrying one entry through its chain: links, write-back, storages, finish."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec

from vconflow.errors import InvalidVcon, Permanent, Retryable
from vconflow.model.entry import Entry
from vconflow.pipeline.breaker import Breakers
from vconflow.pipeline.chain import Chain, Chains, Step
from vconflow.pipeline.commits import ROUNDS, Commits, Conflicted, Deleted, Lost
from vconflow.pipeline.failure import Failures, storages_failed
from vconflow.pipeline.fanout import Fanout, breaker_of
from vconflow.pipeline.keeping import Keeper
from vconflow.pipeline.late_writes import LateWrites
from vconflow.pipeline.lookup import Lookup, OutOfReach
from vconflow.pipeline.run import Place, Run
from vconflow.pipeline.spans import in_span
from vconflow.pipeline.steps import StepFailed, run_step
from vconflow.pipeline.tracers import later, tell_tracers
from vconflow.ports.documents import Document
from vconflow.ports.ledger import Defer, Finish, Progress
from vconflow.ports.link import CONTINUE, Continue, Halt, Outcome, Replace, Route
from vconflow.ports.time_left import ends_in
from vconflow.telemetry import events
from vconflow.telemetry.spans import Spans

__all__ = ["Done", "Processor", "Waiting"]


@dataclass(frozen=True)
class Done:
    """The entry is acknowledged, or no longer ours; `outcome` is the word of the metrics."""

    outcome: str


@dataclass(frozen=True)
class Waiting:
    """The entry stays ours and is to be tried again when its progress is due."""

    progress: Progress


_COMPLETED = Done("completed")
_DEAD = Done("dead")


@dataclass(frozen=True)
class Processor:
    """Shared by all attempts of one generation. `chains` are those in force when it is asked."""

    commits: Commits
    lookup: Lookup
    fanout: Fanout
    chains: Callable[[], Chains]
    failures: Failures
    late_writes: LateWrites
    spans: Spans | None = None

    @property
    def _breakers(self) -> Breakers:
        return self.fanout.breakers

    def attempt(
        self,
        entry: Entry,
        chain: Chain,
        progress: Progress,
        found: Document | None = None,
        place: Place | None = None,
        *,
        resumed: bool = False,
    ) -> Awaitable[Done | Waiting]:
        """Carry the entry on from where its progress says.

        `found` is the entry's document, if that has just been fetched. `place` is left as soon as
        links and storages are through with it. `resumed` is an entry that may have been begun.
        """
        run = Run(entry, chain, progress, place, resumed=resumed)
        attempt = self._timed(run, found)
        return attempt if self.spans is None else in_span(self.spans, run, attempt)

    async def _timed(self, run: Run, found: Document | None) -> Done | Waiting:
        started = time.perf_counter()
        try:
            result = await self._attempt(run, found)
        except Lost:
            await self._put_right(run, run.chain.storages)
            events.lease_lost(run.entry.list, run.entry.id)
            result = Done("lost")
        events.entry_done(run.chain.name, _word(result), time.perf_counter() - started)
        if run.span is not None:
            run.span.set("vconflow.outcome", _word(result))
        return result

    async def _put_right(self, run: Run, storages: Sequence[str], *, ahead: int = 0) -> None:
        """What we stored and did not commit, or stored late, must not be the last word there."""
        if run.has_stored:
            # Ahead of Redis, our revision may have become somebody else's.
            rev = 0 if ahead or run.ahead else run.stored_rev
            await self.late_writes.put_right(run, storages, rev)

    async def _attempt(self, run: Run, found: Document | None) -> Done | Waiting:
        try:
            if run.progress.rests:
                run.progress = await self.commits.unpark(run.entry, run.progress)
            if run.progress.deleted:
                return await self._remove(run)
            return await self._carry(run, found)
        except StepFailed as failed:
            return await self._fail(run, failed)
        except Deleted:
            return await self._remove(run)
        except Permanent as error:
            # Redis refuses the commit itself: a key of ours holds something else.
            return await self._fail(run, StepFailed("commit", error))

    async def _carry(self, run: Run, found: Document | None) -> Done:
        self.failures.check_crashes(run)
        if not _brings(found, run):
            await self._load(run)
        for _ in range(ROUNDS):
            try:
                await self._links(run)
                return await self._conclude(run)
            except Conflicted:
                # Run the links since the last commit again, on what others made of the vCon.
                run.come_back()
                run.restart()
                await self._load(run)
        raise StepFailed("document", Retryable("others keep changing the vCon"))

    async def _load(self, run: Run) -> None:
        found = await self.commits.fetch(run.uuid)
        if found.document is None:
            try:
                found = await self.lookup.revision(run.uuid)
            except OutOfReach as error:
                # It is read where it was stored: what has to come back is the same.
                needed = tuple(map(breaker_of, error.storages))
                raise StepFailed("document", error, needed) from error
            except Retryable as error:
                raise StepFailed("document", error) from error
            if found.deleted:
                raise Deleted
        if found.document is None:
            events.document_missing(run.entry.list, run.entry.id, run.uuid)
            raise StepFailed("document", Permanent("document missing"))
        run.load(found, found.document)

    async def _links(self, run: Run) -> None:
        deadline = None if run.chain.timeout is None else time.monotonic() + run.chain.timeout
        steps, traced = run.chain.steps, bool(run.chain.tracers)
        if traced and steps:
            deadline = later(deadline, await tell_tracers(run, self._breakers))
        while run.next_link < len(steps) and not run.halted:
            step, run.before = steps[run.next_link], run.safe
            remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
            outcome = await self._run_step(run, step, remaining)
            _keep(run, step)
            if outcome is not CONTINUE:
                await self._follow(run, outcome)
            if step.paid and (traced or not run.halted):
                # Paid for: a crash from here on must not buy it again.
                await self._checkpoint(run)
            if traced:
                deadline = later(deadline, await tell_tracers(run, self._breakers))

    async def _run_step(self, run: Run, step: Step, remaining: float | None) -> Outcome:
        breaker = self._breakers.of(step.breaker)
        if not step.paid:
            return await run_step(run, step, remaining, breaker)
        keeper = Keeper(self.commits, run)
        try:
            with ends_in(step.timeout if remaining is None else min(step.timeout, remaining)):
                return await run_step(run, step, remaining, breaker, keeper)
        finally:
            await keeper.settled()

    async def _follow(self, run: Run, outcome: Outcome) -> None:
        match outcome:
            case Continue():
                pass
            case Halt():
                run.halted = True
            case Route(lists, go_on):
                run.route(lists)
                run.halted = not go_on
            case Replace(uuid):
                if run.dirty:
                    await self._checkpoint(run, uuid=uuid, came_from=run.uuid)
                run.replace(uuid)
                await self._load(run)

    async def _conclude(self, run: Run) -> Done:
        if run.halted:
            run.leave()
            await self.commits.commit(run, self._finish(run, run.routes))
            return Done("halted")
        targets = tuple(dict.fromkeys((*run.routes, *run.chain.egress)))
        if not run.chain.storages:
            run.leave()
            await self.commits.commit(run, self._finish(run, targets))
            return _COMPLETED
        run.outdo()
        if run.dirty and not run.get_ahead():
            await self._checkpoint(run)
        finish = self._finish(run, targets, stored=self.fanout.keepers(run.chain.storages))
        for _ in range(ROUNDS):
            await self._store(run)
            run.leave()
            if await self.commits.try_commit(run, finish, check=True):
                return _COMPLETED
            # Somebody wrote a newer revision after the storages had ours: they get that one, with
            # what ours has besides.
            run.come_back()
            if run.dirty:
                await self._checkpoint(run)
            else:
                await self._load(run)
            for name in run.chain.storages:
                events.storage_conflict_restored(name, run.uuid)
        raise StepFailed("document", Retryable("others keep changing the vCon"))

    async def _checkpoint(self, run: Run, **changes: object) -> None:
        """Write the document together with how far it got: links must not run on their own work."""
        await self.commits.commit(run, Defer(run.so_far(**changes)))

    async def _store(self, run: Run) -> None:
        left = run.chain.storages if run.storages_left is None else run.storages_left
        with self.commits.under_way(run.entry):
            failures = await self.fanout.store(run.stored(), left, run.ran_storage)
        run.stored_at(tuple(failures))
        if failures:
            raise storages_failed(failures)

    def _finish(self, run: Run, targets: Sequence[str], *, stored: tuple[str, ...] = ()) -> Finish:
        return Finish(
            origin=f"chain:{run.chain.name}",
            targets=tuple(map(self.chains().target, targets)),
            stored=stored,
            expire_seconds=run.expire_seconds,
            trace="" if run.span is None else run.span.traceparent,
        )

    async def _fail(self, run: Run, failed: StepFailed) -> Done | Waiting:
        """Keep what the links before the failed one did, then wait or give up."""
        run.undo()
        if run.span is not None:
            run.span.set("vconflow.stage", failed.stage)
            run.span.failed(type(failed.error).__name__)
        ahead, left = run.ahead, run.storages_left or ()
        result = await self._give_up(run, failed)
        if result == _DEAD or (ahead and run.rev != ahead):
            # Others may have written meanwhile. The storages that have ours get what became of it;
            # another attempt sees to that by itself, unless ours was ahead of Redis.
            stored = [it for it in run.chain.storages if it not in left]
            await self._put_right(run, stored, ahead=ahead)
        return result

    async def _give_up(self, run: Run, failed: StepFailed) -> Done | Waiting:
        try:
            # A failed commit's merge changes the run, so the decision is made once, before.
            decision = self.failures.decide(run, failed)
            await self.commits.commit(run, decision)
        except Deleted:
            return await self._remove(run)
        except Conflicted:
            # Our changes are lost to somebody else's; the links run again on theirs.
            run.restart()
            run.drop_changes()
            return await self._give_up(run, failed)
        if isinstance(decision, Defer):
            return Waiting(decision.progress)
        return _DEAD

    async def _remove(self, run: Run) -> Done | Waiting:
        """The vCon was deleted: what this chain has stored of it goes too, then the entry."""
        failed = await self.commits.remove_copies(run.uuid, self.fanout, run.chain.storages)
        if not failed:
            await self.commits.try_commit(run, Finish(deleted=True))
            return Done("deleted")
        decision = self.failures.decide(run, storages_failed(failed))
        progress = msgspec.structs.replace(decision.progress, deleted=True)
        if isinstance(decision, Defer):
            # A tombstone has no room for progress: this process remembers it.
            return Waiting(progress)
        run.drop_changes()
        buried = msgspec.structs.replace(decision, progress=progress, even_deleted=True)
        await self.commits.try_commit(run, buried)
        return _DEAD


def _brings(found: Document | None, run: Run) -> bool:
    """Load what was found, if that is all there is to know."""
    if found is None or found.document is None or found.deleted or run.uuid != run.entry.uuid:
        return False
    run.brought(found, found.document)
    return True


def _keep(run: Run, step: Step) -> None:
    try:
        run.keep(repeatable=step.repeatable)
    except (InvalidVcon, ValueError, TypeError, RecursionError) as error:
        text = f"link {step.name!r} made a vCon that cannot be written: {error}"
        raise StepFailed(f"link:{step.name}", Permanent(text)) from error


def _word(result: Done | Waiting) -> str:
    if isinstance(result, Done):
        return result.outcome
    return "parked" if result.progress.parked else "retried"
