"""What a vCon looks like as a document of MongoDB."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import bson
import msgspec
from bson.errors import BSONError

from vconflow.errors import Permanent
from vconflow.model.dates import instant, rfc3339
from vconflow.model.entry import StoredVcon

__all__ = ["DOCUMENT", "OURS", "REVISION", "as_bson", "as_json"]

OURS: Final = "_vconflow"
"""The member that holds what the reference has not: `document`, the exact bytes, and `rev`."""
DOCUMENT: Final = f"{OURS}.document"
REVISION: Final = f"{OURS}.rev"

_LARGEST: Final = 16 * 1024 * 1024
_DEEPEST: Final = 100
_INT64: Final = 1 << 63
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# year 1 to year 9999: what Python can say
_EARLIEST: Final = -62_135_596_800.0
_LATEST: Final = 253_402_300_799.0


class _NotHeld(Exception):
    """BSON cannot hold it."""


def as_bson(vcon: StoredVcon) -> bytes:
    """The document of a vCon: its members as the reference writes them, and the bytes themselves.

    Without the members where MongoDB could not hold them. Raises Permanent for a vCon that is too
    large even so.
    """
    ours = {"document": vcon.document, "rev": vcon.rev}
    try:
        whole = bson.encode(_members(vcon) | {"_id": vcon.uuid, OURS: ours})
    # RecursionError: the encoder's own limit is beyond that of the server.
    except (_NotHeld, BSONError, OverflowError, UnicodeError, RecursionError):
        whole = b""
    if whole and len(whole) <= _LARGEST:
        return whole
    bare = bson.encode({"_id": vcon.uuid, "created_at": _created_at(vcon), OURS: ours})
    if len(bare) > _LARGEST:
        raise Permanent(f"MongoDB holds no document over 16 MiB, it has {len(vcon.document)} bytes")
    return bare


def as_json(document: dict[str, Any]) -> bytes:
    """The vCon in a document that the reference wrote."""
    members = {name: value for name, value in document.items() if name != "_id"}
    return json.dumps(members, ensure_ascii=False, default=_text, separators=(",", ":")).encode()


def _members(vcon: StoredVcon) -> dict[str, Any]:
    try:
        members = msgspec.json.decode(vcon.document)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _NotHeld from error
    # An update would take the latter for its operators.
    if not isinstance(members, dict) or any(name.startswith("$") for name in members):
        raise _NotHeld
    held = {name: _held(value, 1) for name, value in members.items()}
    held["created_at"] = _created_at(vcon)
    dialogs = held.get("dialog")
    for dialog in dialogs if isinstance(dialogs, list) else []:
        if isinstance(dialog, dict) and "start" in dialog:
            dialog["start"] = _date(dialog["start"])
    return held


def _held(value: Any, depth: int) -> Any:
    """A value with numbers that BSON has; larger whole numbers lose their last digits."""
    if depth == _DEEPEST:
        raise _NotHeld
    if isinstance(value, dict):
        return {name: _held(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_held(item, depth + 1) for item in value]
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        return float(value)
    return value


def _created_at(vcon: StoredVcon) -> datetime:
    return _moment(vcon.created_at)


def _date(text: Any) -> Any:
    """A date as MongoDB has them; what is none stays as it is."""
    try:
        return _moment(instant(text)) if isinstance(text, str) else text
    except ValueError:
        return text


def _moment(seconds: float) -> datetime:
    return _EPOCH + timedelta(seconds=min(max(seconds, _EARLIEST), _LATEST))


def _text(value: Any) -> str:
    return rfc3339(value) if isinstance(value, datetime) else str(value)
