"""What a commit does to a vCon whose shard is not that of the entry."""

from collections.abc import Sequence
from typing import Any

from vconflow.adapters.redis.ledger import commit_result
from vconflow.adapters.redis.scripts import ScriptCall
from vconflow.adapters.redis.shard import Shard
from vconflow.ports.ledger import Commit, CommitResult, Finish

__all__ = ["Elsewhere"]

_MARK_TTL = 7 * 24 * 3600 * 1000
"""Milliseconds for which an entry that has handed its vCon on does not do so again."""


class Elsewhere:
    """Writes the vCon and hands it on. Expiries are in seconds; 0 keeps."""

    def __init__(self, shards: Sequence[Shard], *, index_expiry: int, document_ttl: int) -> None:
        self._shards = shards
        self._index_expiry = index_expiry * 1000
        self._document_ttl = document_ttl * 1000

    async def commit(self, shard: int, item: Commit) -> CommitResult:
        """Treat the vCon as `Ledger.commit` does, and leave the entry alone."""
        place, journal, call = self._shards[shard].place, self._shards[shard].journal, ScriptCall()
        keys, uuid = place.keys, item.uuid
        header = [
            uuid,
            call.key(keys.document(uuid)),
            call.key(keys.meta(uuid)),
            item.rev,
            item.born,
            0 if item.document is None else call.arg(item.document),
            self._shards[shard].ledger.index_change(call, item),
            call.key(keys.expiring),
            self._document_ttl,
            self._index_expiry,
            call.key(keys.elsewhere(item.entry.list, item.entry.id)),
            _MARK_TTL,
            self._finish(call, shard, item),
            journal.header(),
            0 if item.record is None else journal.record(call, item.record),
            journal.key(call, uuid),
        ]
        result = commit_result(await place.scripts.run("elsewhere", call, header))
        if isinstance(result, Exception):
            raise result
        return result

    def _finish(self, call: ScriptCall, shard: int, item: Commit) -> list[Any]:
        if not isinstance(item.then, Finish) or item.then.deleted:
            return []
        keys, finish = self._shards[shard].place.keys, item.then
        expire = -1 if finish.expire_seconds is None else finish.expire_seconds * 1000
        targets = [[call.key(keys.list(it.list)), it.feeds] for it in finish.targets]
        trace = finish.trace or item.entry.trace
        return [targets, finish.origin, trace, ",".join(finish.stored), expire]
