"""Two changed versions of one vCon become one again.

Additions are joined, theirs first; an index that points at an item ours added follows it to its
new place. What both sides changed differently is a conflict, and so is everything where the right
answer is not certain: the caller then repeats its work on the newer document.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Raw

from vconflow.errors import InvalidVcon
from vconflow.model.arrays import Arrays, Conflict
from vconflow.model.dates import instant
from vconflow.model.envelope import form_of
from vconflow.model.rawjson import decode_exact, encode, same
from vconflow.model.reading import read_document, read_members

__all__ = ["merge"]

Members = Mapping[str, Raw]

FIXED: Final = ("uuid", "created_at")

# In the order in which their items point at each other: parties at none, analysis at all.
ARRAYS: Final = ("parties", "dialog", "attachments", "analysis")


def merge(base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """Return the document with the changes of both sides to `base`; None if they contradict.

    Arrays of parties, dialogs, analysis and attachments grow by what either side added, and an
    addition of both is one. Tags of both are united. The later `updated_at` stays. References in
    members that vCon does not define are not known, so an object or array of that kind that ours
    changed is a conflict when ours' additions had to move. Never raises: bytes that cannot be read
    are a conflict.
    """
    if ours in (base, theirs):
        return theirs
    if theirs == base:
        return ours
    try:
        return _merge(_members(base), _members(ours), _members(theirs), theirs)
    except (Conflict, InvalidVcon):
        return None


def _members(document: bytes) -> dict[str, Raw]:
    read, _ = read_document(document)
    if form_of(read) != "unsigned":
        raise Conflict
    return read_members(document)


def _merge(base: Members, ours: Members, theirs: Members, document: bytes) -> bytes:
    arrays = Arrays()
    for name in ARRAYS:
        arrays.join(name, base.get(name), ours.get(name), theirs.get(name))
    merged: dict[str, Raw] = {}
    for name in dict.fromkeys((*theirs, *ours)):
        sides = (base.get(name), ours.get(name), theirs.get(name))
        raw = arrays.joined[name] if name in ARRAYS else _one(name, *sides)
        if raw is None:
            continue
        if arrays.moved and name not in ARRAYS and raw is sides[1] and raw is not sides[2]:
            _require_no_indices(raw, sides[0])
        merged[name] = raw
    unchanged = list(merged) == list(theirs) and all(
        bytes(raw) == bytes(theirs[name]) for name, raw in merged.items()
    )
    return document if unchanged else encode(merged)


def _one(name: str, base: Raw | None, ours: Raw | None, theirs: Raw | None) -> Raw | None:
    if name in FIXED and not (_same(ours, base) and _same(theirs, base)):
        raise Conflict
    if _same(ours, theirs) or _same(ours, base):
        return theirs
    if _same(theirs, base):
        return ours
    if name == "updated_at" and ours is not None and theirs is not None:
        return _later(ours, theirs)
    raise Conflict


def _same(one: Raw | None, other: Raw | None) -> bool:
    if one is None or other is None:
        return one is other
    return same(one, other)


def _later(ours: Raw, theirs: Raw) -> Raw:
    try:
        return ours if _instant(ours) > _instant(theirs) else theirs
    except ValueError:
        raise Conflict from None


def _instant(raw: Raw) -> float:
    value = decode_exact(raw)
    if not isinstance(value, str):
        raise Conflict
    return instant(value)


def _require_no_indices(raw: Raw, base: Raw | None) -> None:
    if bytes(raw)[:1] in (b"[", b"{") and not _same(raw, base):
        raise Conflict
