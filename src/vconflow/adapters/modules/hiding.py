"""Keeping credentials among a module's options out of what it raises: that is logged and shown."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote, quote_plus

from vconflow.ports.redaction import MASK, TELLING, replaced

__all__ = ["hiding"]

_SHORTEST: Final = 6
"""Characters of a value worth hiding: a shorter one may be a word, as in `auth_type: none`."""
_USERINFO: Final = re.compile(r"://([^/?#\s]*:[^\s]*)@")


class hiding:  # noqa: N801  # named as a statement, like those of contextlib
    """Masks the credentials among options in the message of whatever is raised meanwhile.

    Raises RuntimeError in place of an error whose message cannot be changed.
    """

    # contextlib's own would write to the error, and some errors are frozen.

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            return
        found = {it for it in _credentials(self._options, told=False) if len(it) >= _SHORTEST}
        hidden = {form(text): MASK for text in found for form in (str, quote, quote_plus)}
        if not _hide(error, hidden, set()) and isinstance(error, Exception):
            raise RuntimeError(replaced(f"{type(error).__name__}: {error}", hidden)) from None


def _credentials(value: object, *, told: bool) -> Iterator[str]:
    """What stands below keys that speak of a credential, and user and password of URLs."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _credentials(item, told=told or bool(TELLING.search(str(key))))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _credentials(item, told=told)
    elif told and isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, str) and (found := _USERINFO.search(value)):
        yield found[1]
        yield found[1].partition(":")[2]


def _hide(error: BaseException, hidden: Mapping[str, str], seen: set[int]) -> bool:
    """Change what an error says; whether it tells none of it any more."""
    seen.add(id(error))
    # A frozen one cannot be changed.
    with suppress(AttributeError):
        error.args = tuple(replaced(it, hidden) if isinstance(it, str) else it for it in error.args)
    if isinstance(error, OSError):
        error.strerror, error.filename = (
            replaced(it, hidden) if isinstance(it, str) else it
            for it in (error.strerror, error.filename)
        )
    notes = getattr(error, "__notes__", [])
    notes[:] = [replaced(note, hidden) for note in notes]
    for name in ("__cause__", "__context__"):
        other = getattr(error, name)
        if other is not None and id(other) not in seen and not _hide(other, hidden, seen):
            setattr(error, name, None)
    group = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    clean = [_hide(it, hidden, seen) for it in group if id(it) not in seen]
    return all(clean) and not any(value in str(error) for value in hidden)
