"""Taking over what a module made of a vCon."""

from typing import Any

from vconflow.model.rawjson import decode_plain, encode
from vconflow.model.vcon import Vcon

__all__ = ["take_over"]

_FIXED = frozenset({"uuid", "created_at"})


def take_over(vcon: Vcon, document: bytes) -> None:
    """Change `vcon` to what a module stored, which was made of plain values of it.

    Only what differs is written: members and items that the module left alone keep their bytes.
    `uuid` and `created_at` never change. Raises Permanent for a signed or encrypted vCon.
    """
    before: dict[str, Any] = decode_plain(vcon.to_bytes())
    after: dict[str, Any] = decode_plain(document)
    for name, value in after.items():
        if name in _FIXED or (name in before and encode(before[name]) == encode(value)):
            continue
        if isinstance(value, list) and isinstance(before.get(name, []), list):
            _take_items(vcon.edit(name), before.get(name, []), value)
        else:
            vcon.set(name, value)
    for name in before.keys() - after.keys() - _FIXED:
        vcon.remove(name)


def _take_items(items: list[Any], before: list[Any], after: list[Any]) -> None:
    """Put every item in its new place; those that are known are taken as they were written."""
    exact: dict[bytes, list[Any]] = {}
    for plain, item in zip(reversed(before), reversed(items), strict=True):
        exact.setdefault(encode(plain), []).append(item)
    items[:] = [_taken(exact.get(encode(value)), value) for value in after]


def _taken(known: list[Any] | None, value: Any) -> Any:
    # Each once: an item that stands there twice must not become one that is changed in both places.
    return known.pop() if known else value
