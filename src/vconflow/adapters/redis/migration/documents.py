"""Making the documents of a conserver ours: plain strings with a revision, listed and indexed."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis

from vconflow.adapters.redis.errors import redis_errors
from vconflow.adapters.redis.index import index_text
from vconflow.adapters.redis.keys import Keys
from vconflow.adapters.redis.migration.routes import Moved, Refusal, raw_key
from vconflow.adapters.redis.scripts import ScriptCall, Scripts
from vconflow.errors import InvalidVcon
from vconflow.model.dates import instant
from vconflow.model.identifiers import canonical_uuid
from vconflow.model.validation import Facts, validate

__all__ = ["DocumentMigration"]

_READ_BYTES = 256 * 1024
"""RedisJSON writes this much text in some milliseconds, in which nobody else is served."""
_CHUNK = 30
_LARGE = 256 * 1024
_SCAN_COUNT = 500
_ROUNDS = 20
_THEIRS = (b"string", b"ReJSON-RL")
_UNKNOWN = -1.0


class _Plan(msgspec.Struct, frozen=True):
    """What becomes of one document: it is taken with `facts`, or put away for `reason`."""

    uuid: str
    document: bytes
    facts: Facts | None
    reason: str = ""


class _Head(msgspec.Struct):
    uuid: str
    created_at: str | None = None


_decode_head = msgspec.json.Decoder(_Head).decode


class DocumentMigration:
    """Takes documents over; `index_expiry` is in milliseconds.

    `refusals` names those that were put away, `invalid` those that were taken although they are
    no valid vCons, each with the reason. `stuck` are those that stay as they are, since a key of
    ours is somebody else's: what points to them must not wait for them.
    """

    def __init__(self, client: Redis, scripts: Scripts, keys: Keys, *, index_expiry: int) -> None:
        self._client = client
        self._scripts = scripts
        self._keys = keys
        self._index_expiry = index_expiry
        self.refusals: list[Refusal] = []
        self.invalid: list[Refusal] = []
        self.stuck: set[str] = set()

    async def all(self) -> AsyncIterator[tuple[int, Moved]]:
        """Take over all documents, chunk by chunk: how many were looked at, and moved."""
        prefix = self._keys.document("")
        cursor: int | bytes = 0
        while True:
            with redis_errors():
                cursor, found = await self._client.execute_command(
                    "SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", _SCAN_COUNT
                )
            names = [key.decode(errors="surrogateescape").removeprefix(prefix) for key in found]
            for start in range(0, len(names), _CHUNK):
                chunk = names[start : start + _CHUNK]
                yield len(chunk), await self.take(chunk)
            if int(cursor) == 0:
                return

    async def take(self, names: Sequence[str]) -> Moved:
        """Take over these documents, named as in their keys; those that are ours are left alone."""
        total, left = Moved(), list(dict.fromkeys(names))
        for _ in range(_ROUNDS):
            changed: list[str] = []
            while left:
                count, plans = await self._read(left[:_CHUNK])
                changed += await self._apply(plans, total)
                left = left[count:]
            if not changed:
                return total
            left = changed
        for name in left:
            self._note(self.refusals, name, "it changes all the time", self._keys.document(name))
        total.refused += len(left)
        return total

    async def _read(self, names: list[str]) -> tuple[int, list[_Plan]]:
        call = ScriptCall()
        items = [
            [call.key(raw_key(self._keys.document(name))), call.key(raw_key(self._keys.meta(name)))]
            for name in names
        ]
        replies = await self._scripts.run("migrate_read", call, [_READ_BYTES, items])
        found = [
            (name, document)
            for name, (kind, document) in zip(names, replies, strict=False)
            if kind in _THEIRS and document is not None
        ]
        return len(replies), [await _plan(name, document) for name, document in found]

    async def _apply(self, plans: list[_Plan], total: Moved) -> list[str]:
        """The names of those that were written by others meanwhile."""
        if not plans:
            return []
        call = ScriptCall()
        items = [self._item(call, plan) for plan in plans]
        header = [call.key(self._keys.created), self._index_expiry, items]
        changed = []
        replies = await self._scripts.run("migrate_documents", call, header)
        for plan, verdict in zip(plans, replies, strict=True):
            match verdict:
                case b"done":
                    total.moved += 1
                    if plan.reason:
                        key = self._keys.document(plan.uuid)
                        self._note(self.invalid, plan.uuid, plan.reason, key)
                case b"refused":
                    total.refused += 1
                    self._note(self.refusals, plan.uuid, plan.reason, self._put_away(plan))
                case b"changed":
                    changed.append(plan.uuid)
                case b"type" if plan.uuid not in self.stuck:
                    self.stuck.add(plan.uuid)
                    total.refused += 1
                    reason = "a key of ours beside it holds something else"
                    self._note(self.refusals, plan.uuid, reason, self._keys.document(plan.uuid))
        return changed

    def _item(self, call: ScriptCall, plan: _Plan) -> list[Any]:
        keys, facts = self._keys, plan.facts
        index = keys.index(facts) if facts else []
        return [
            call.arg(raw_key(plan.uuid)),
            call.key(raw_key(keys.document(plan.uuid))),
            call.key(raw_key(keys.meta(plan.uuid))),
            # Not a safeguard: it only tells whether the document was written again meanwhile.
            hashlib.sha1(plan.document, usedforsecurity=False).hexdigest(),
            facts.created_at if facts else _UNKNOWN,
            [call.key(name) for name in index],
            index_text(index),
            call.arg(raw_key(keys.document(plan.uuid))),
            0 if facts else call.key(raw_key(self._put_away(plan))),
        ]

    def _put_away(self, plan: _Plan) -> str:
        digest = hashlib.sha256(plan.document).hexdigest()[:12]
        return self._keys.refused(f"{self._keys.document(plan.uuid)}:{digest}")

    def _note(self, notes: list[Refusal], name: str, reason: str, kept: str) -> None:
        key = raw_key(self._keys.document(name)).decode(errors="replace")
        notes.append(Refusal(key, reason, raw_key(kept).decode(errors="replace")))


async def _plan(name: str, document: bytes) -> _Plan:
    if len(document) < _LARGE:
        return _judged(name, document)
    return await asyncio.to_thread(_judged, name, document)


def _judged(name: str, document: bytes) -> _Plan:
    try:
        facts, reason = validate(document), ""
    except InvalidVcon as error:
        reason = "; ".join(map(str, error.problems[:3]))
        try:
            facts = _least_facts(document)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
            return _Plan(name, document, None, reason)
    if facts.uuid != name:
        return _Plan(name, document, None, "uuid: is not the uuid of its key")
    return _Plan(name, document, facts, reason)


def _least_facts(document: bytes) -> Facts:
    """What is needed to keep what is no valid vCon under its uuid. Raises ValueError."""
    head = _decode_head(document)
    try:
        created_at = instant(head.created_at or "")
    except ValueError:
        created_at = _UNKNOWN
    return Facts(canonical_uuid(head.uuid), created_at, None, "unsigned")
