"""Putting the stored secrets back in place of `***`, and refusing where that could do harm.

A secret goes only to the very place that it was masked at: never to another component, option or
list item, and not into a component that would now send it somewhere else.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from vconflow.config.findings import Findings, Loc
from vconflow.ports.redaction import MASK

__all__ = ["goes_to", "unmask"]

_COMPONENTS = ("links", "storages", "tracers", "followers")
_MISSING: Final = object()

_LONGEST_COMPARED = 1000
"""Items of a list that is searched for the ones that moved."""

_WORD = re.compile(r"[A-Za-z][a-z]*|[A-Z]+")
_WORDS = """
    account accounts addr address addresses base broker brokers bucket cluster connection
    destination domain dsn endpoint endpoints host hostname hosts insecure ip node nodes port
    ports proxies proxy region server servers site socket ssl sslmode target tls uri uris url urls
    verify webhook webhooks
"""
_DESTINATIONS = frozenset(_WORDS.split())
"""Words in names of options that say where a component sends what it knows."""
_LOOKS_LIKE_ADDRESS = re.compile(
    r".*://.*|[\w.-]+:\d+|(?:[\w-]+\.)+[A-Za-z]{2,}(?:[:/].*)?", re.DOTALL
)


class _Stored(NamedTuple):
    """A place of the stored document: the value that is shown there, and the real one."""

    shown: Any
    real: Any

    def item(self, key: Any) -> "_Stored":
        """What stands below, in a mapping."""
        if isinstance(self.shown, dict) and key in self.shown:
            return _Stored(self.shown[key], self.real[key])
        return _NOTHING


_NOTHING = _Stored(_MISSING, _MISSING)


def unmask(document: Any, stored: dict[str, Any], shown: dict[str, Any], findings: Findings) -> Any:
    """Return the document with the secrets of `stored` where it still says what `shown` does.

    `shown` is the masked form of `stored`. Where no secret can be put back, an error is noted.
    """
    work = _Unmasking(findings)
    result = work.value(document, _Stored(shown, stored), ())
    for loc, is_moved in _moved(document, shown, work.restored):
        if is_moved:
            message = "where this goes to has changed: give the secret again instead of ***"
            findings.error(loc, message, "masked_secret")
    return result


class _Unmasking:
    """Walks a document beside the stored one. `restored` are the places of secrets put back."""

    def __init__(self, findings: Findings) -> None:
        self.restored: list[Loc] = []
        self._findings = findings

    def value(self, new: Any, stored: _Stored, loc: Loc) -> Any:
        if isinstance(new, dict):
            return {key: self.value(v, stored.item(key), (*loc, key)) for key, v in new.items()}
        if isinstance(new, list):
            return self._items(new, stored, loc)
        return self._restore(stored.real, loc) if _is_kept(new, stored) else self._given(new, loc)

    def _items(self, new: list[Any], stored: _Stored, loc: Loc) -> list[Any]:
        if not _has_mask(new):
            return new
        matched = _matches(new, stored.shown) if isinstance(stored.shown, list) else {}
        return [
            self.value(
                item,
                _Stored(stored.shown[matched[index]], stored.real[matched[index]])
                if index in matched
                else _NOTHING,
                (*loc, index),
            )
            for index, item in enumerate(new)
        ]

    def _restore(self, real: Any, loc: Loc) -> Any:
        if not (isinstance(real, str) and MASK in real):
            self.restored.append(loc)
        return real

    def _given(self, new: Any, loc: Loc) -> Any:
        if isinstance(new, str) and MASK in new:
            message = "*** stands for a stored secret, and none belongs here: give the secret again"
            self._findings.error(loc, message, "masked_secret")
        return new


def _is_kept(new: Any, stored: _Stored) -> bool:
    return isinstance(new, str) and MASK in new and new == stored.shown


def _has_mask(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_mask, value.values()))
    if isinstance(value, list):
        return any(map(_has_mask, value))
    return isinstance(value, str) and MASK in value


def _matches(new: list[Any], shown: list[Any]) -> dict[int, int]:
    """Which items are for sure the same: positions of `new` to positions of `shown`."""
    if new == shown:
        return {index: index for index in range(len(new))}
    if len(new) > _LONGEST_COMPARED:
        return {}
    found = {}
    names, shown_names = list(map(_name_of, new)), list(map(_name_of, shown))
    for index, item in enumerate(new):
        name = names[index]
        if name is not None and names.count(name) == shown_names.count(name) == 1:
            found[index] = shown_names.index(name)
        elif new.count(item) == shown.count(item) == 1:
            found[index] = shown.index(item)
        elif _stay_alike(item, new, shown):
            found[index] = index
    return found


def _stay_alike(item: Any, new: list[Any], shown: list[Any]) -> bool:
    """Whether items that look the same are as many as before, all in their old positions."""
    return len(new) == len(shown) and all(
        (mine == item) == (theirs == item) for mine, theirs in zip(new, shown, strict=True)
    )


def _name_of(item: Any) -> str | None:
    name = item.get("name") if isinstance(item, dict) else None
    return name if isinstance(name, str) and MASK not in name else None


def _moved(document: Any, shown: dict[str, Any], restored: list[Loc]) -> Iterator[tuple[Loc, bool]]:
    """Every secret put back into a component, and whether that goes somewhere else now."""
    known: dict[Loc, bool] = {}
    for loc in restored:
        if loc[0] not in _COMPONENTS or len(loc) < 3 or not isinstance(document[loc[0]], dict):
            continue
        section, name = str(loc[0]), str(loc[1])
        place = (section, name)
        if place not in known:
            known[place] = goes_to(document[section][name]) != goes_to(shown[section][name])
        yield loc, known[place]


def goes_to(component: Any) -> dict[Loc, Any]:
    """Everything that says what a component is and where it sends to, by place."""
    found: dict[Loc, Any] = {}

    def walk(value: Any, loc: Loc, is_named: bool) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                walk(item, (*loc, key), is_named or _tells_where(key))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                walk(item, (*loc, index), is_named)
        elif is_named or (isinstance(value, str) and _LOOKS_LIKE_ADDRESS.fullmatch(value)):
            found[loc] = value

    walk(component, (), False)
    if isinstance(component, dict):
        found["module",] = component.get("module")
    return found


def _tells_where(key: str) -> bool:
    return any(word.lower() in _DESTINATIONS for word in _WORD.findall(key))
