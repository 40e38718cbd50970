"""Accepting batches of vCons in one script call (`ports/intake.py`)."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from vconflow.adapters.redis.index import index_keys, index_text
from vconflow.adapters.redis.keys import Keys
from vconflow.adapters.redis.scripts import ScriptCall, Scripts
from vconflow.errors import Permanent, RevisionMismatch, Unavailable
from vconflow.ports.intake import Acceptance, Receipt

__all__ = ["BATCH_TTL", "RedisIntake"]

BATCH_TTL = 10 * 60 * 1000
"""Milliseconds a batch's answer is kept, in case it is asked for again."""

_REPLACE_ROUNDS = 20


class RedisIntake:
    """Stores document, meta, index and stream entries of each vCon in one atomic step."""

    def __init__(self, scripts: Scripts, keys: Keys, *, index_expiry: int) -> None:
        self._scripts = scripts
        self._keys = keys
        self._index_expiry = index_expiry * 1000

    async def accept(self, batch: Sequence[Acceptance]) -> list[Receipt | Exception]:
        """See `Intake.accept`."""
        results: list[Receipt | Exception] = [Permanent("never tried")] * len(batch)
        todo = dict.fromkeys(range(len(batch)), "")
        # A replaced version leaves index keys that only Redis knows: the script names them, and
        # the item goes again with them declared.
        for _ in range(_REPLACE_ROUNDS):
            positions = list(todo)
            replies = await self._call(
                [(batch[position], todo[position]) for position in positions]
            )
            todo = {}
            for position, reply in zip(positions, replies, strict=True):
                if reply[0] == b"index":
                    todo[position] = reply[1].decode()
                else:
                    results[position] = _result(reply)
            if not todo:
                return results
        for position in todo:
            results[position] = Unavailable("the vCon is being replaced by others all the time")
        return results

    async def _call(self, items: list[tuple[Acceptance, str]]) -> list[list[Any]]:
        call = ScriptCall()
        header = [
            call.key(self._keys.batch(uuid4().hex)),
            BATCH_TTL,
            self._index_expiry,
            call.key(self._keys.created),
            call.key(self._keys.expiring),
            [self._item(call, item, previous) for item, previous in items],
        ]
        replies: list[list[Any]] = await self._scripts.run("accept", call, header)
        return replies

    def _item(self, call: ScriptCall, item: Acceptance, previous: str) -> list[Any]:
        keys, facts = self._keys, item.facts
        index = keys.index(facts)
        return [
            facts.uuid,
            call.key(keys.document(facts.uuid)),
            call.arg(item.document),
            call.key(keys.meta(facts.uuid)),
            facts.created_at,
            [call.key(keys.list(name)) for name in item.lists],
            [call.key(name) for name in index],
            index_text(index),
            previous,
            [call.key(name) for name in index_keys(previous)],
            item.owner,
            -1 if item.expect_rev is None else item.expect_rev,
            item.source,
            item.trace,
        ]

    async def enqueue(self, uuids: Sequence[str], list_name: str, source: str) -> list[bool]:
        """See `Intake.enqueue`."""
        call = ScriptCall()
        header = [
            call.key(self._keys.list(list_name)),
            source,
            [
                [uuid, call.key(self._keys.document(uuid)), call.key(self._keys.meta(uuid))]
                for uuid in uuids
            ],
            call.key(self._keys.batch(uuid4().hex)),
            BATCH_TTL,
        ]
        return [reply == 1 for reply in await self._scripts.run("enqueue", call, header)]


def _result(reply: list[Any]) -> Receipt | Exception:
    match reply[0]:
        case b"ok":
            return Receipt(rev=int(reply[1]))
        case b"moved":
            return RevisionMismatch("the vCon has changed since")
        case _:
            return Permanent(f"the Redis key {reply[1].decode()!r} holds something else")
