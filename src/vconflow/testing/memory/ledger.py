"""Fenced bookkeeping of entries (`ports/ledger.py`)."""

from collections.abc import Sequence

import msgspec

from vconflow.ports.dead_letters import DeadLetter
from vconflow.ports.ledger import Bury, Commit, CommitResult, Defer, Finish, Verdict
from vconflow.testing.memory.history import Journal
from vconflow.testing.memory.lists import Buried, Pending
from vconflow.testing.memory.names import HeldName
from vconflow.testing.memory.store import Store
from vconflow.testing.memory.vcons import Expiries, Meta, index_text

__all__ = ["MemoryLedger"]

_encode = msgspec.json.Encoder().encode


class MemoryLedger:
    """Commits of one replica: each looks first and writes only when nothing stands against it."""

    def __init__(self, store: Store, name: HeldName, journal: Journal, expiries: Expiries) -> None:
        self._store = store
        self._vcons = store.vcons
        self._name = name
        self._journal = journal
        self._expiries = expiries

    async def commit(self, batch: Sequence[Commit]) -> list[CommitResult | Exception]:
        """See `Ledger.commit`."""
        await self._store.call()
        return [self._noted(commit, self._commit(commit)) for commit in batch]

    def _noted(self, commit: Commit, result: CommitResult) -> CommitResult:
        if commit.record is not None and result.verdict is Verdict.DONE:
            for uuid in dict.fromkeys((commit.entry.uuid, commit.uuid)):
                self._journal.append(uuid, commit.record)
        return result

    def _commit(self, commit: Commit) -> CommitResult:
        entry = commit.entry
        pending = self._store.list(entry.list).owned(entry.id, self._name.name)
        if pending is None or self._name.displaced:
            return CommitResult(Verdict.LOST)
        if isinstance(commit.then, Finish) and commit.then.deleted:
            self._acknowledge(commit)
            self._let_expire(entry.uuid)
            return CommitResult(Verdict.DONE)
        meta = self._vcons.metas.get(commit.uuid) or Meta()
        obstacle = _obstacle(commit, meta)
        if obstacle is not None:
            return self._insist(commit, pending, obstacle)
        if commit.document is not None:
            self._write(commit, commit.document)
        match commit.then:
            case Finish() as finish:
                self._finish(commit, finish)
            case Defer(progress):
                pending.progress, pending.due = progress, progress.rests_until
            case Bury() as bury:
                self._bury(pending, bury, self._rev(commit.uuid))
        return CommitResult(Verdict.DONE, self._rev(commit.uuid))

    def _rev(self, uuid: str) -> int:
        meta = self._vcons.metas.get(uuid)
        return 0 if meta is None else meta.rev

    def _insist(self, commit: Commit, pending: Pending, obstacle: CommitResult) -> CommitResult:
        bury = commit.then
        if obstacle.verdict is Verdict.DELETED and isinstance(bury, Bury) and bury.even_deleted:
            self._bury(pending, bury, 0)
            return CommitResult(Verdict.DONE)
        return obstacle

    def _write(self, commit: Commit, document: bytes) -> None:
        meta = self._vcons.metas.setdefault(commit.uuid, Meta)
        meta.rev = commit.new_rev or self._vcons.next_rev(meta.rev)
        self._vcons.documents.put(commit.uuid, document)
        if _moves_index(commit):
            old, meta.index = meta.index, index_text(commit.facts)
            self._vcons.reindex(commit.uuid, old, meta.index, self._expiries.index_expiry)

    def _finish(self, commit: Commit, finish: Finish) -> None:
        meta = self._vcons.metas.setdefault(commit.uuid, Meta)
        for target in finish.targets:
            self._store.append(
                target.list,
                commit.uuid,
                origin=finish.origin,
                trace=finish.trace or commit.entry.trace,
                egress=not target.feeds,
            )
            meta.count("open" if target.feeds else "egress", 1)
        self._acknowledge(commit)
        if finish.stored:
            meta.stored, meta.stored_at = meta.rev, finish.stored
        else:
            # The server holds its one copy: no dead letter takes that away.
            meta.done = meta.rev
        if finish.expire_seconds is not None:
            meta.ttl = finish.expire_seconds * 1000
        self._vcons.let_expire(commit.uuid, meta, self._expiries)

    def _acknowledge(self, commit: Commit) -> None:
        entry = commit.entry
        del self._store.list(entry.list).pending[entry.id]
        # Another vCon than the one written, if a link replaced it.
        self._vcons.release(entry.uuid, entry.counted, entry.id)

    def _let_expire(self, uuid: str) -> None:
        """In a later life of the uuid, the entry may have been the last that kept the document."""
        meta = self._vcons.metas.get(uuid)
        if meta is not None:
            self._vcons.let_expire(uuid, meta, self._expiries)

    def _bury(self, pending: Pending, bury: Bury, rev: int) -> None:
        """Move the entry. It stays counted: its document is needed for a replay."""
        entry, progress, now = pending.entry, bury.progress, self._store.now()
        meta = self._vcons.metas.get(entry.uuid)
        # A dead letter is open work, also that of a list which no chain read before.
        if meta is not None and entry.egress and meta.counts(entry.id):
            meta.count("egress", -1)
            meta.count("open", 1)
        dead = self._store.dead_list(entry.list)
        letter = DeadLetter(
            id=dead.ids.next(now),
            list=entry.list,
            uuid=entry.uuid,
            chain=bury.chain,
            stage=bury.stage,
            error_type=bury.error_type,
            error=bury.error,
            attempts=progress.attempts,
            first_failure=progress.first_failure,
            last_failure=progress.last_failure or now,
            at=entry.at,
            origin=entry.origin,
            progress=progress.afresh(),
            trace=entry.trace,
            traceback=bury.traceback,
        )
        resume = _encode(progress.afresh())
        dead.letters[letter.id] = Buried(letter, entry.id, rev, resume)
        del self._store.list(entry.list).pending[entry.id]


def _obstacle(commit: Commit, meta: Meta) -> CommitResult | None:
    if meta.deleted or (commit.born and meta.born != commit.born):
        return CommitResult(Verdict.DELETED)
    if commit.rev and meta.rev != commit.rev:
        return CommitResult(Verdict.MOVED, meta.rev)
    # What had no revision when it was read takes nothing from what has one by now.
    is_stored = isinstance(commit.then, Finish) and commit.then.stored
    if not commit.rev and meta.rev and (commit.document is not None or is_stored):
        return CommitResult(Verdict.MOVED, meta.rev)
    if _moves_index(commit) and meta.index != commit.previous_index:
        return CommitResult(Verdict.MOVED, meta.rev)
    return None


def _moves_index(commit: Commit) -> bool:
    return commit.facts is not None and index_text(commit.facts) != commit.previous_index
