"""Which members point into which array: one table for checking and for renumbering."""

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["REFERENCES", "TRANSFER", "UNKNOWN", "renumber", "targets"]

UNKNOWN = -1
"""A transfer of core-01 writes -1 for a dialog or party that it does not know."""

TRANSFER: Mapping[str, str] = {
    "transferee": "parties",
    "transferor": "parties",
    "transfer_target": "parties",
    "transfer-target": "parties",
    "original": "dialog",
    "consultation": "dialog",
    "target_dialog": "dialog",
    "target-dialog": "dialog",
}
"""The references of a transfer dialog, where `UNKNOWN` is allowed."""

REFERENCES: Mapping[str, Mapping[str, str]] = {
    "parties": {},
    "dialog": {
        "parties": "parties",
        "originator": "parties",
        "recordings": "dialog",
        "recording_set": "dialog",
        **TRANSFER,
    },
    "party_history": {"party": "parties"},
    "attachments": {"party": "parties", "dialog": "dialog"},
    "analysis": {"dialog": "dialog", "attachment": "attachments"},
}
"""array → member → the array that its indices count in; `party_history` lies inside a dialog."""


def targets(value: Any) -> Iterator[int]:
    """Yield every index in an int, a list, or a list per channel; null and others yield nothing."""
    if isinstance(value, list):
        for item in value:
            yield from targets(item)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value


def renumber(value: Any, places: Mapping[int, int]) -> Any:
    """Return the value with every index moved to its new place; those not in `places` stay."""
    if isinstance(value, list):
        return [renumber(item, places) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return places.get(value, value)
    return value
