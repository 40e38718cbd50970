"""The arrays of two changed versions of a vCon, joined; the harder half of `merge`."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Raw

from vconflow.model import tags
from vconflow.model.rawjson import canonical, decode_exact, encode, same
from vconflow.model.reading import read_items
from vconflow.model.references import REFERENCES, renumber

__all__ = ["Arrays", "Conflict"]

Places = dict[int, int]


class Conflict(Exception):
    """The two sides contradict each other, or nobody can tell."""


class Arrays:
    """Joins one array after the other; those that others point into must come before them."""

    def __init__(self) -> None:
        self.joined: dict[str, Raw | None] = {}
        self.moved = False
        """Whether an item that ours added stands elsewhere now."""
        self._places: dict[str, Places] = {}
        self._shifted_by: set[str] = set()
        self._changed_by: set[str] = set()

    def join(self, name: str, base: Raw | None, ours: Raw | None, theirs: Raw | None) -> None:
        """Join one array of the three documents. Raises Conflict."""
        old, one, two = (_items(raw) for raw in (base, ours, theirs))
        self._watch_shifts(name, old, one, two)
        if _equal(one, old):
            # Nothing of ours to add: theirs stays as it is written, gaps and all.
            self.joined[name], self._places[name] = theirs, {}
            return
        if len(one) < len(old) or len(two) < len(old):
            self.joined[name] = self._take_only_change(old, ours, two, theirs)
            self._places[name] = {}
            return
        self._join_grown(name, old, one, two)

    def _take_only_change(
        self, old: list[Raw], ours: Raw | None, two: list[Raw], theirs: Raw | None
    ) -> Raw | None:
        if self.moved:
            raise Conflict  # what is left of ours may point at what has moved
        if _equal(two, old):
            return ours
        if ours is not None and theirs is not None and same(ours, theirs):
            return theirs
        raise Conflict

    def _watch_shifts(self, name: str, old: list[Raw], one: list[Raw], two: list[Raw]) -> None:
        """Raise Conflict when a side moved items about while the other changed any array.

        Indices written by the other side would then point at the wrong items.
        """
        for side, items in (("ours", one), ("theirs", two)):
            if not _equal(items, old):
                self._changed_by.add(side)
            if name != "analysis" and not _stable(old, items):
                self._shifted_by.add(side)
        if self._shifted_by and len(self._changed_by) > 1:
            raise Conflict

    def _join_grown(self, name: str, old: list[Raw], one: list[Raw], two: list[Raw]) -> None:
        size = len(old)
        result = [self._both(*trio) for trio in zip(old, one, two, strict=False)]
        result += two[size:]
        added = [_moved(item, name, self._places) for item in one[size:]]
        places = self._place(added, result, size)
        self._places[name] = places
        self.moved = self.moved or any(at != to for at, to in places.items())
        for index, item in enumerate(one):
            if index < size and same(item, old[index]):
                continue
            final = _moved(item, name, self._places)
            place = places.get(index, index)
            if place == len(result):
                result.append(final)
            elif index < size:
                if same(item, two[index]) and not same(final, item):
                    raise Conflict  # the same words point at different items
                # Changed in place by ours: only its indices may still move.
                result[place] = final if same(result[place], item) else result[place]
            elif not same(final, result[place]) and not tags.is_tags(decode_exact(final)):
                raise Conflict  # taken for theirs, but it points elsewhere
        self.joined[name] = Raw(encode(result))

    def _both(self, old: Raw, one: Raw, two: Raw) -> Raw:
        if same(one, old) or same(one, two):
            return two
        return one if same(two, old) else _united(one, two, old)

    def _place(self, added: Sequence[Raw], result: list[Raw], size: int) -> Places:
        """Say where each addition of ours goes: onto the same one of theirs, else to the end."""
        free = list(range(size, len(result)))
        places: Places = {}
        end = len(result)
        for index, item in enumerate(added, start=size):
            twin = next((at for at in free if same(item, result[at])), None)
            if twin is None and _is_tags(item):
                twin = next((at for at in free if _is_tags(result[at])), None)
                if twin is not None:
                    result[twin] = _united(item, result[twin], None)
            if twin is None:
                places[index], end = end, end + 1
            else:
                places[index] = twin
                free.remove(twin)
        return places


def _items(raw: Raw | None) -> list[Raw]:
    if raw is None or bytes(raw) == b"null":
        return []
    if not bytes(raw).startswith(b"["):
        raise Conflict
    return read_items(raw)


def _equal(one: Sequence[Raw], other: Sequence[Raw]) -> bool:
    return len(one) == len(other) and all(map(same, one, other))


def _stable(old: Sequence[Raw], new: Sequence[Raw]) -> bool:
    """Tell whether every old item still stands at its index, perhaps changed."""
    if len(new) < len(old):
        return False
    was, now = [canonical(item) for item in old], [canonical(item) for item in new]
    every_old, every_new = set(was), set(now)
    # A changed item that shows up elsewhere, or whose place another one took, has moved.
    return not any(
        before != after and (before in every_new or after in every_old)
        for before, after in zip(was, now, strict=False)
    )


def _is_tags(raw: Raw) -> bool:
    return b'"tags"' in bytes(raw) and tags.is_tags(decode_exact(raw))


def _united(ours: Raw, theirs: Raw, old: Raw | None) -> Raw:
    """Return theirs with the tags that ours added; Conflict if anything else differs."""
    one, two = decode_exact(ours), decode_exact(theirs)
    was = decode_exact(old) if old is not None else None
    if not (tags.is_tags(one) and tags.is_tags(two)):
        raise Conflict
    before = tags.read_tags(was) if was is not None else []
    rest = [_without_body(item) for item in (one, two, was) if item is not None]
    if any(other != rest[0] for other in rest):
        raise Conflict
    for item in (one, two):
        if tags.read_tags(item)[: len(before)] != before:
            raise Conflict  # a tag was taken away or changed
    tags.write_tags(two, tags.read_tags(one))
    return Raw(encode(two))


def _without_body(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "body"}


def _moved(raw: Raw, name: str, places: Mapping[str, Places]) -> Raw:
    """Return an item of ours with its indices brought to the joined arrays."""
    item = decode_exact(raw)
    if not isinstance(item, dict):
        return raw
    before = encode(item)
    _move_members(item, name, places)
    for event in item.get("party_history") or () if name == "dialog" else ():
        if isinstance(event, dict):
            _move_members(event, "party_history", places)
    return raw if encode(item) == before else Raw(encode(item))


def _move_members(item: dict[str, Any], kind: str, places: Mapping[str, Places]) -> None:
    for member, into in REFERENCES[kind].items():
        if member in item and into in places:
            item[member] = renumber(item[member], places[into])
