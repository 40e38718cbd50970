"""Members of a vCon as they are written: to rename and replace some and leave the rest alone."""

from collections.abc import Callable
from operator import is_
from typing import Final

from msgspec import Raw

from vconflow.model.envelope import form_of
from vconflow.model.rawjson import decode_exact, encode
from vconflow.model.reading import (
    read_document,
    read_items,
    read_members,
    refuse,
    require_uuid_once,
)

__all__ = [
    "Members",
    "change_each",
    "is_empty",
    "members_of",
    "open_unsigned",
    "replace_name",
    "text_of",
    "untouched",
]

Members = dict[str, Raw]
Change = Callable[[str, Members], object]
"""Changes the members of one object in place; it is told of which array the object is."""

ARRAYS: Final = ("parties", "dialog", "analysis", "attachments")
REFERENCES: Final = ("redacted", "amended", "appended")

_EMPTY = frozenset((b"", b"null", b"[]", b"{}"))


def open_unsigned(document: bytes) -> Members:
    """Return the members of a vCon that may be changed. Raises InvalidVcon for any other."""
    read, _ = read_document(document)
    require_uuid_once(document)
    if form_of(read) != "unsigned":
        raise refuse((), "a signed or encrypted vCon cannot be converted", "opaque")
    return read_members(document)


def is_empty(raw: Raw) -> bool:
    """Tell whether it is null, or an array or object of nothing."""
    return bytes(raw).translate(None, b" \t\r\n") in _EMPTY


def change_each(top: Members, change: Change) -> None:
    """Apply `change` to every object of the known arrays and to the references to other vCons."""
    for kind in ARRAYS:
        if kind in top:
            top[kind] = _changed_items(top[kind], kind, change)
    for name in REFERENCES:
        if name in top and (members := members_of(top[name])):
            top[name] = _changed(top[name], members, "reference", change)


def _changed_items(raw: Raw, kind: str, change: Change) -> Raw:
    if not bytes(raw).startswith(b"["):
        return raw
    items = read_items(raw)
    result = [
        item if (members := members_of(item)) is None else _changed(item, members, kind, change)
        for item in items
    ]
    return raw if all(map(is_, items, result)) else Raw(encode(result))


def _changed(raw: Raw, members: Members, kind: str, change: Change) -> Raw:
    before = dict(members)
    change(kind, members)
    if kind == "dialog" and "party_history" in members:
        members["party_history"] = _changed_items(members["party_history"], "party_history", change)
    return raw if untouched(before, members) else Raw(encode(members))


def untouched(before: Members, after: Members) -> bool:
    """Tell whether the very same texts stand in the same order under the same names."""
    return list(before) == list(after) and all(map(is_, before.values(), after.values()))


def members_of(raw: Raw) -> Members | None:
    """Return the members of an object, None if it is something else."""
    return read_members(raw) if bytes(raw).startswith(b"{") else None


def text_of(raw: Raw | None) -> str | None:
    """Return the value of a JSON string, None if it is something else."""
    value = decode_exact(raw) if raw and bytes(raw).startswith(b'"') else None
    return value if isinstance(value, str) else None


def replace_name(members: Members, old: str, new: str) -> None:
    """Rename in place, so that the order of the members stays."""
    renamed = {new if name == old else name: raw for name, raw in members.items()}
    members.clear()
    members.update(renamed)
