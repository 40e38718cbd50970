"""Keeping credentials among a module's options out of what it raises: that is logged and shown."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote, quote_plus

from vconflow.ports.component import TELLING

__all__ = ["hiding"]

_SHORTEST: Final = 4
"""Characters of a value worth hiding: a shorter one stands in too many words."""
_MASK: Final = "***"


@contextmanager
def hiding(options: Mapping[str, Any]) -> Iterator[None]:
    """Mask the credentials among options in the message of whatever is raised meanwhile."""
    try:
        yield
    except BaseException as error:
        found = {text for text in _credentials(options, told=False) if len(text) >= _SHORTEST}
        spelled = {form(text) for text in found for form in (str, quote, quote_plus)}
        # The longest first: one may be the begin of another.
        _hide(error, sorted(spelled, key=len, reverse=True), set())
        raise


def _credentials(value: object, *, told: bool) -> Iterator[str]:
    """The texts below keys that speak of a credential."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _credentials(item, told=told or bool(TELLING.search(str(key))))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _credentials(item, told=told)
    elif told and isinstance(value, str):
        yield value


def _hide(error: BaseException | None, texts: list[str], seen: set[int]) -> None:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    error.args = tuple(_masked(it, texts) if isinstance(it, str) else it for it in error.args)
    notes = getattr(error, "__notes__", None)
    if notes:
        notes[:] = [_masked(note, texts) for note in notes]
    group = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for other in (error.__cause__, error.__context__, *group):
        _hide(other, texts, seen)


def _masked(text: str, hidden: list[str]) -> str:
    for value in hidden:
        text = text.replace(value, _MASK)
    return text
