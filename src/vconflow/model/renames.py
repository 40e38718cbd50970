"""The table of names: what each version of the vCon calls a member."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from msgspec import Raw

__all__ = [
    "EMPTY_IN_001",
    "EVENTS",
    "HASH_PAIR_UNTIL",
    "LEGACY",
    "NEWEST",
    "RENAMES",
    "STRIPPED",
    "Rename",
    "is_legacy",
    "names_for",
]

NEWEST: Final = "0.4.0"
LEGACY: Final = ("0.0.1", "0.0.2", "0.3.0")
"""The older versions found in the wild, oldest first."""


class Rename(NamedTuple):
    """In objects of one kind, `old` was the name up to and including version `until`.

    `kind` is "" for the vCon itself, or the name of an array. When both names are there the new
    one wins and the old one goes, unless `keep`.
    """

    kind: str
    old: str
    new: str
    until: str
    keep: bool = False


RENAMES: Final = (
    Rename("dialog", "mimetype", "mediatype", "0.0.1"),
    Rename("analysis", "mimetype", "mediatype", "0.0.1"),
    Rename("attachments", "mimetype", "mediatype", "0.0.1"),
    Rename("dialog", "transfer-target", "transfer_target", "0.0.2"),
    Rename("dialog", "target-dialog", "target_dialog", "0.0.2"),
    Rename("attachments", "type", "purpose", "0.3.0", keep=True),
    Rename("analysis", "vendor_schema", "schema", "0.3.0"),
    Rename("analysis", "schema_version", "schema", "0.3.0"),
    Rename("", "appended", "amended", "0.3.0"),
    Rename("", "must_support", "critical", "0.3.0"),
    Rename("party_history", "dtmf", "button", "0.3.0"),
)
"""Of two old names for a new one, the first is read and written, the second stays as it is."""

HASH_PAIR_UNTIL: Final = "0.0.1"
"""Up to this version a content_hash was written as `alg` and `signature`."""

EVENTS: Final[Mapping[str, str]] = {"dtmfdown": "keydown", "dtmfup": "keyup"}
"""Old → new names of the key events in a party_history."""

STRIPPED: Final[Mapping[str, Mapping[str, str]]] = {
    "": {"extensions": "0.0.2"},
    "parties": {"type": "0.3.0", "org": "0.3.0", "dept": "0.3.0"},
    "dialog": {"session_id": "0.0.2", "recording_set": "0.3.0"},
    "analysis": {"attachment": "0.3.0"},
}
"""kind → member → the last version that has no form of it; readers lose nothing they knew."""

EMPTY_IN_001: Final = {"group": Raw(b"[]"), "redacted": Raw(b"{}"), "appended": Raw(b"null")}
"""Members that readers of 0.0.1 expect even when they say nothing."""


def is_legacy(version: str | None, until: str) -> bool:
    """Tell whether it is one of `LEGACY` and not later than `until`."""
    return version in LEGACY and LEGACY.index(version) <= LEGACY.index(until)


def names_for(kind: str, version: str | None) -> dict[str, str]:
    """Return new name → the name that a document of that version uses, where they differ.

    A missing or unknown version writes as the newest does.
    """
    names: dict[str, str] = {}
    for rename in RENAMES:
        if rename.kind == kind and is_legacy(version, rename.until):
            names.setdefault(rename.new, rename.old)
    return names
