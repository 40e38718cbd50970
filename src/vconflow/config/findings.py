"""Collecting everything that is wrong or worth a word, instead of stopping at the first."""

import difflib
from collections.abc import Iterable
from itertools import islice

from vconflow.errors import ConfigError, Problem

__all__ = ["Findings", "Loc", "nearest", "suggestion"]

Loc = tuple[str | int, ...]

_MOST_MEANT = 20
_MOST_KNOWN = 1000


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` is most likely a slip of, if any is close enough."""
    by_folded = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.lower(), by_folded, n=1, cutoff=0.7)
    return by_folded[matches[0]] if matches else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """`, did you mean 'x'?` for the nearest known name, else nothing."""
    match = nearest(name, known)
    return f", did you mean {match!r}?" if match else ""


class Findings:
    """Errors and warnings of one configuration, in the order found."""

    def __init__(self) -> None:
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []

    def error(self, loc: Loc, message: str, kind: str = "value_error") -> None:
        """Note something that keeps the configuration from being used."""
        self.errors.append(Problem(loc, message, kind))

    def warn(self, loc: Loc, message: str, kind: str) -> None:
        """Note something that the user should know, and that hinders nothing."""
        self.warnings.append(Problem(loc, message, kind))

    def unknown(self, loc: Loc, what: str, name: str, known: Iterable[str]) -> None:
        """Note a name that nothing has, with the one that was probably meant."""
        kind = f"unknown_{what.replace(' ', '_')}"
        # Looking for a similar name is slow: of thousands of errors somebody corrects the first.
        meant = (
            "" if len(self.errors) > _MOST_MEANT else suggestion(name, islice(known, _MOST_KNOWN))
        )
        self.error(loc, f"unknown {what} {name!r}{meant}", kind)

    def raise_errors(self) -> None:
        """Raise ConfigError when there are errors."""
        if self.errors:
            raise ConfigError(self.errors)
