"""Whether a document is one that JSON can carry, before anything walks through it."""

import math
from typing import Any, Final

from vconflow.config.findings import Findings, Loc

__all__ = ["check_shape"]

_DEEPEST: Final = 40
_MOST_VALUES: Final = 200_000
"""Far more than any configuration has; YAML's anchors can make billions out of a few lines."""
_LARGEST: Final = 2**63


def check_shape(document: Any, findings: Findings) -> None:
    """Note what is nested too deeply, and numbers and texts that JSON cannot carry."""
    rest: list[tuple[Loc, Any]] = [((), document)]
    seen = 0
    while rest:
        loc, value = rest.pop()
        seen += 1
        if seen > _MOST_VALUES:
            findings.error((), f"has more than {_MOST_VALUES} values", "too_long")
            return
        if isinstance(value, dict | list):
            if len(loc) >= _DEEPEST:
                findings.error(loc[:_DEEPEST], "nested too deeply", "too_deep")
                return
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            rest += [((*loc, key), item) for key, item in pairs]
        elif problem := _problem(value):
            findings.error(loc, problem, "out_of_range")


def _problem(value: Any) -> str:
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        return "the number is too large"
    if isinstance(value, float) and not math.isfinite(value):
        return "not a number that JSON knows"
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return "not valid Unicode"
    return ""
