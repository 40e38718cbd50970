"""Accepting batches of vCons in one script call (`ports/intake.py`)."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis

from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.history import Journal
from vconflow.adapters.redis.index import index_keys, index_text
from vconflow.adapters.redis.keys import Keys
from vconflow.adapters.redis.scripts import SaidOnce, ScriptCall, Scripts
from vconflow.errors import Conflict, Permanent, RevisionMismatch, Unavailable
from vconflow.ports.history import HistoryRecord
from vconflow.ports.intake import (
    IN_A_ROW,
    Acceptance,
    Enqueued,
    Enqueuing,
    Idempotency,
    Ownership,
    Receipt,
)

__all__ = ["BATCH_TTL", "RedisIntake"]

BATCH_TTL = 10 * 60 * 1000
"""Milliseconds a batch's answer is kept, in case it is asked for again."""

_IDEMPOTENCY_TTL = 24 * 3600 * 1000
_REPLACE_ROUNDS = 20
_DONE = (b"ok", b"repeated")
_TAKE = Ownership.TAKE


class RedisIntake:
    """Stores document, meta, index and stream entries of each vCon in one atomic step."""

    def __init__(
        self, client: Redis, scripts: Scripts, keys: Keys, journal: Journal, *, index_expiry: int
    ) -> None:
        self._client = client
        self._scripts = scripts
        self._keys = keys
        self._journal = journal
        self._index_expiry = index_expiry * 1000

    async def accept(self, batch: Sequence[Acceptance]) -> list[Receipt | Exception]:
        """See `Intake.accept`."""
        results: list[Receipt | Exception] = [Permanent("never tried")] * len(batch)
        todo = self._left_before(batch)
        # A replaced version leaves index keys that only Redis knows: the script names them, and
        # the item goes again with them declared, together with what is behind it.
        rounds, is_first = _REPLACE_ROUNDS, True
        while todo and rounds:
            positions = list(todo)
            try:
                replies = await self._call(
                    [(batch[position], todo[position]) for position in positions]
                )
            except (Unavailable, Permanent) as error:
                if is_first:
                    raise
                # The others have been accepted before, and must be told so.
                return [error if position in todo else it for position, it in enumerate(results)]
            previous, todo, is_first = todo, {}, False
            for position, reply in zip(positions, replies, strict=True):
                if isinstance(reply, int):
                    results[position] = Receipt(reply)
                elif reply[0] == b"index":
                    todo[position] = reply[1].decode()
                elif reply[0] == b"behind":
                    todo[position] = previous[position]
                else:
                    results[position] = _result(reply)
            # Only what does not get on at all is given up.
            rounds = rounds - 1 if len(todo) == len(previous) else _REPLACE_ROUNDS
        for position in todo:
            results[position] = Unavailable("The vCon is being replaced by others all the time")
        return results

    def _left_before(self, batch: Sequence[Acceptance]) -> dict[int, str]:
        """By position: the index text of an earlier item of the same vCon, which is replaced."""
        todo = dict.fromkeys(range(len(batch)), "")
        if len({item.facts.uuid for item in batch}) < len(batch):
            left: dict[str, str] = {}
            for position, item in enumerate(batch):
                uuid = item.facts.uuid
                todo[position] = left.get(uuid, "")
                left[uuid] = index_text(self._keys.index(item.facts))
        return todo

    async def _call(self, batch: list[tuple[Acceptance, str]]) -> list[int | list[Any]]:
        call = ScriptCall()
        sources = SaidOnce()
        items: list[Any] = []
        header = [
            call.key(self._keys.batch(uuid4().hex)),
            BATCH_TTL,
            self._index_expiry,
            call.key(self._keys.created),
            call.key(self._keys.expiring),
            self._journal.header(),
            call.key(self._keys.partners),
            _IDEMPOTENCY_TTL,
            sources.said,
            items,
        ]
        for item, previous in batch:
            items += self._item(call, sources, item, previous)
        replies: list[int | list[Any]] = await self._scripts.run("accept", call, header)
        return replies

    def _item(
        self, call: ScriptCall, sources: SaidOnce, item: Acceptance, previous: str
    ) -> tuple[Any, ...]:
        keys, facts = self._keys, item.facts
        index = keys.index(facts)
        uuid, record = facts.uuid, item.record()
        return (
            uuid,
            call.keys_in_a_row(keys.document(uuid), keys.meta(uuid), keys.history(uuid)),
            call.arg(item.document),
            facts.created_at,
            sources.index(record, lambda: self._source(call, item, record)),
            [call.key(name) for name in index],
            index_text(index),
            # Mostly there is nothing more to say.
            0 if _is_plain(item, previous) else self._rare_parts(call, item, previous),
        )

    def _source(self, call: ScriptCall, item: Acceptance, record: HistoryRecord) -> list[Any]:
        streams = [call.key(self._keys.list(name)) for name in item.lists]
        is_in_a_row = item.source in IN_A_ROW
        return [streams, self._journal.record(call, record), item.source, item.owner, is_in_a_row]

    def _rare_parts(self, call: ScriptCall, item: Acceptance, previous: str) -> list[Any]:
        marks = item.idempotency
        return [
            item.trace,
            item.expect_rev,
            None if item.ownership is _TAKE else item.ownership.value,
            None if marks is None else call.key(self._keys.idempotency(marks.name)),
            None if marks is None else marks.fingerprint,
            previous,
            [call.key(name) for name in index_keys(previous)] if previous else None,
        ]

    def _marks(self, call: ScriptCall, idempotency: Idempotency | None) -> tuple[int, str]:
        if idempotency is None:
            return 0, ""
        return call.key(self._keys.idempotency(idempotency.name)), idempotency.fingerprint

    async def enqueue(self, order: Enqueuing) -> Enqueued:
        """See `Intake.enqueue`."""
        call, keys, journal = ScriptCall(), self._keys, self._journal
        header = [
            call.key(keys.list(order.list)),
            order.source,
            [
                [
                    uuid,
                    call.key(keys.document(uuid)),
                    call.key(keys.meta(uuid)),
                    journal.key(call, uuid),
                ]
                for uuid in order.uuids
            ],
            call.key(keys.batch(uuid4().hex)),
            BATCH_TTL,
            order.trace,
            journal.header(),
            journal.record(call, order.record()),
            *self._marks(call, order.idempotency),
            _IDEMPOTENCY_TTL,
            order.final,
        ]
        reply = await self._scripts.run("enqueue", call, header)
        if reply[0] not in _DONE:
            raise _error(reply)
        return Enqueued([found == 1 for found in reply[1]], reply[0] == b"repeated")

    async def recall(self, idempotency: Idempotency) -> Receipt | None:
        """See `Intake.recall`."""
        rev = await self._known(idempotency, " ")
        return Receipt(int(rev), repeated=True) if rev else None

    async def recall_enqueued(self, idempotency: Idempotency) -> Enqueued | None:
        """See `Intake.recall_enqueued`."""
        digits = await self._known(idempotency, "=")
        return Enqueued([digit == "1" for digit in digits], repeated=True) if digits else None

    async def _known(self, idempotency: Idempotency, separator: str) -> str:
        """What a script noted behind the fingerprint; '' if it noted nothing."""
        key = self._keys.idempotency(idempotency.name)
        with redis_errors():
            known = await self._client.execute_command("GET", key)
        fingerprint, _, noted = (known or b"").decode().partition(separator)
        return noted if fingerprint == idempotency.fingerprint else ""


def _is_plain(item: Acceptance, previous: str) -> bool:
    return (
        item.ownership is _TAKE
        and item.expect_rev is None
        and item.idempotency is None
        and not item.trace
        and not previous
    )


def _result(reply: list[Any]) -> Receipt | Exception:
    return Receipt(reply[1], repeated=True) if reply[0] == b"repeated" else _error(reply)


def _error(reply: list[Any]) -> Exception:
    match reply[0]:
        case b"moved":
            return RevisionMismatch("the vCon has changed since")
        case b"gone":
            return Conflict("The vCon was deleted meanwhile")
        case b"owner":
            return Conflict("The vCon was stored by another key")
        case b"reused":
            return Conflict("Idempotency-Key reused with another body")
        case _:
            return Permanent(f"the Redis key {reply[1].decode()!r} holds something else")
