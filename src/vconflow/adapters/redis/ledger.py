"""Fenced bookkeeping of entries (`ports/ledger.py`): one script call per batch of commits."""

from collections.abc import Sequence
from typing import Any

import msgspec

from vconflow.adapters.redis.consumer_name import ConsumerName
from vconflow.adapters.redis.history import Journal
from vconflow.adapters.redis.index import index_keys, index_of
from vconflow.adapters.redis.keys import Keys
from vconflow.adapters.redis.scripts import SaidOnce, ScriptCall, Scripts
from vconflow.errors import Permanent
from vconflow.ports.ledger import Bury, Commit, CommitResult, Defer, Finish, Verdict

__all__ = ["RedisLedger", "commit_result"]

_encode = msgspec.json.Encoder().encode
_VERDICTS = {verdict.value.encode(): verdict for verdict in Verdict}


class RedisLedger:
    """Commits of one replica. `index_expiry` and `document_ttl` are in seconds; 0 keeps."""

    def __init__(
        self,
        scripts: Scripts,
        keys: Keys,
        name: ConsumerName,
        journal: Journal,
        *,
        index_expiry: int,
        document_ttl: int,
    ) -> None:
        self._scripts = scripts
        self._keys = keys
        self._name = name
        self._journal = journal
        self._index_expiry = index_expiry * 1000
        self._document_ttl = document_ttl * 1000

    async def commit(self, batch: Sequence[Commit]) -> list[CommitResult | Exception]:
        """See `Ledger.commit`."""
        call = ScriptCall()
        actions = SaidOnce()
        items: list[Any] = []
        header = [
            self._name.name,
            call.key(self._keys.consumer(self._name.name)),
            self._name.token,
            self._index_expiry,
            self._document_ttl,
            call.key(self._keys.expiring),
            self._journal.header(),
            actions.said,
            items,
        ]
        for commit in batch:
            items += self._item(call, actions, commit)
        replies: list[Any] = await self._scripts.run("commit", call, header)
        return [commit_result(reply) for reply in replies]

    def _item(self, call: ScriptCall, actions: SaidOnce, commit: Commit) -> tuple[Any, ...]:
        keys, entry, then = self._keys, commit.entry, commit.then
        uuid = entry.uuid
        # Progress and dead letters tell of one entry alone.
        shared = (then, entry.counted, entry.trace) if isinstance(then, Finish | None) else None
        return (
            call.key(keys.list(entry.list)),
            entry.id,
            call.keys_in_a_row(
                keys.run(entry.list, entry.id),
                keys.document(uuid),
                keys.meta(uuid),
                keys.history(uuid),
            ),
            uuid,
            commit.rev,
            commit.born,
            commit.new_rev,
            0 if commit.document is None else call.arg(commit.document),
            0 if commit.record is None else self._journal.record(call, commit.record),
            actions.index(shared, lambda: self._action(call, commit)),
            self.index_change(call, commit) or 0,
            0 if commit.uuid == uuid else self._other(call, commit.uuid),
        )

    def _other(self, call: ScriptCall, uuid: str) -> list[Any]:
        keys = self._keys
        return [uuid, *map(call.key, (keys.document(uuid), keys.meta(uuid), keys.history(uuid)))]

    def index_change(self, call: ScriptCall, commit: Commit) -> list[Any]:
        """What a commit changes in the search index, as its script takes it."""
        if commit.facts is None:
            return []
        names, text = index_of(self._keys, commit.facts)
        previous = commit.previous_index
        if text == previous:
            return []
        old = [call.key(name) for name in index_keys(previous)]
        return [text, [call.key(name) for name in names], previous, old]

    def _action(self, call: ScriptCall, commit: Commit) -> list[Any]:
        keys, entry = self._keys, commit.entry
        match commit.then:
            case None:
                return ["keep"]
            case Finish(deleted=True):
                return ["ack", entry.counted]
            case Finish() as finish:
                targets = [
                    [call.key(keys.list(target.list)), target.feeds] for target in finish.targets
                ]
                expire = -1 if finish.expire_seconds is None else finish.expire_seconds * 1000
                trace = finish.trace or entry.trace
                return [
                    "finish",
                    targets,
                    finish.origin,
                    trace,
                    ",".join(finish.stored),
                    expire,
                    entry.counted,
                ]
            case Defer(progress):
                return ["defer", call.arg(_encode(progress)), progress.rests_until]
            case Bury() as bury:
                fields = [call.arg(value) for value in _dead_fields(commit, bury)]
                dead = call.key(keys.dead(entry.list))
                return ["bury", dead, fields, bury.even_deleted, entry.counted]


def _dead_fields(commit: Commit, bury: Bury) -> list[bytes]:
    entry, progress = commit.entry, bury.progress
    fields = {
        "uuid": entry.uuid,
        "chain": bury.chain,
        "stage": bury.stage,
        "error_type": bury.error_type,
        "error": bury.error,
        "traceback": bury.traceback,
        "attempts": str(progress.attempts),
        "first_failure": str(progress.first_failure),
        "last_failure": str(progress.last_failure),
        "at": str(entry.at),
        "entry": entry.id,
        "origin": entry.origin,
        "trace": entry.trace,
        "progress": _encode(progress.afresh()).decode(),
    }
    return [text.encode() for pair in fields.items() for text in pair]


def commit_result(reply: int | list[Any]) -> CommitResult | Exception:
    """What a script says of one commit; when it is done, that is only the revision."""
    if isinstance(reply, int):
        return CommitResult(Verdict.DONE, reply)
    verdict = _VERDICTS.get(reply[0])
    if verdict is None:
        return Permanent(f"the Redis key {reply[1].decode()!r} holds something else")
    return CommitResult(verdict, int(reply[1]) if len(reply) > 1 else 0)
