"""What a vCon looks like as rows, one per passage, and how the rows there become those wanted."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from vconflow.adapters.storages.milvus_text import (
    TRANSCRIPTS,
    items,
    metadata_of,
    passages,
    text_of,
)
from vconflow.model.dates import instant
from vconflow.model.entry import StoredVcon
from vconflow.model.validation import without_scheme
from vconflow.model.vcon import Vcon

__all__ = ["VECTOR", "Change", "Row", "Wanted", "changes", "wanted"]

Row = dict[str, Any]
"""By the names of fields."""

VECTOR: Final = "embedding"
"""The field of the vector."""

_IDS: Final = ("partyId", "PartyId", "party_id", "id", "userID", "userId")
_LONGEST_INT16: Final = 32_767
_VERSION: Final = "1.0"
# year 1 to year 9999: what a date can say
_EARLIEST: Final = -62_135_596_800.0
_LATEST: Final = 253_402_300_799.0


@dataclass(frozen=True)
class Wanted:
    """The rows that a revision of a vCon should have in the end."""

    uuid: str
    rev: int
    rows: Sequence[Row]


@dataclass
class Change:
    """What to do: rows to insert, keys of rows to remove after that, and those of removed rows
    that have the vector of a text already.
    """

    insert: list[Row] = field(default_factory=list)
    remove: list[Any] = field(default_factory=list)
    known: dict[str, Any] = field(default_factory=dict)


def wanted(vcon: StoredVcon, model: str, lengths: Mapping[str, int | None]) -> Wanted:
    """The rows of a vCon, embedded by that model.

    They have the fields that `lengths` names, and texts no longer than it says in bytes. Raises
    InvalidVcon for what is no JSON object.
    """
    document = Vcon(vcon.document)
    row = _common(document, vcon) | {"embedding_model": model, "embedding_version": _VERSION}
    common = _fitting(row, lengths)
    length = lengths["text"]
    rows = [common | {"text": _cut(text, length)} for text in passages(document)]
    return Wanted(vcon.uuid, vcon.rev, rows)


def changes(those: Iterable[Wanted], there: Iterable[Row], key: str, *, again: bool) -> Change:
    """What brings the rows that are `there` to the wanted ones; `key` is their primary key.

    An older revision than the one there changes nothing. `again` embeds anew what is there.
    """
    change = Change()
    by_uuid: dict[str, list[Row]] = {}
    for row in there:
        by_uuid.setdefault(row["vcon_uuid"], []).append(row)
    for one in those:
        old = by_uuid.get(one.uuid, [])
        if all(row.get("rev", 0) <= one.rev for row in old):
            _change_one(change, one.rows, [] if again else old, key)
            if again:
                change.remove += [row[key] for row in old]
    return change


def _change_one(change: Change, rows: Sequence[Row], old: Sequence[Row], key: str) -> None:
    """Rows are known by their texts: of several with the same one stays at most."""
    kept: set[str] = set()
    texts = {row["text"]: row for row in rows}
    for row in old:
        text = row["text"]
        new = texts.get(text)
        if new is not None and text not in kept and _same(row, new, but=(key,)):
            kept.add(text)
            continue
        change.remove.append(row[key])
        if new is not None and row.get("embedding_model") == new.get("embedding_model"):
            change.known[text] = row[key]
    change.insert += [row for text, row in texts.items() if text not in kept]


def _same(row: Row, new: Row, but: Collection[str]) -> bool:
    return all(new.get(name) == value for name, value in row.items() if name not in but)


def _common(vcon: Vcon, stored: StoredVcon) -> Row:
    metadata, analyses = metadata_of(vcon), items(vcon, "analysis")
    parties = items(vcon, "parties")
    types = {kind for item in analyses if isinstance(kind := item.get("type"), str)}
    return {
        "vcon_uuid": stored.uuid,
        "rev": stored.rev,
        "party_id": _party_id(parties)
        or text_of(metadata.get("creator"))
        or _NO_PARTY[bool(parties)],
        "created_at": _date(stored.created_at),
        "updated_at": _date(_moment(vcon.get("updated_at"))),
        "subject": text_of(vcon.get("subject")),
        "metadata_title": text_of(metadata.get("title")),
        "has_transcript": bool(types & TRANSCRIPTS or vcon.get("transcript")),
        "has_summary": "summary" in types,
        "party_count": min(len(parties), _LONGEST_INT16),
    }


_NO_PARTY: Final = {True: "party_index:0", False: "no_party_info"}
"""What the reference writes when parties have nothing to tell them by, and when there are none."""


def _party_id(parties: Iterable[Mapping[str, Any]]) -> str:
    """What the first party that has anything to tell it by is known as."""
    return next(filter(None, map(_id_of, parties)), "")


def _id_of(party: Mapping[str, Any]) -> str:
    uuid, name, role = (text_of(party.get(part)) for part in ("uuid", "name", "role"))
    tel, mailto = text_of(party.get("tel")), text_of(party.get("mailto"))
    return (
        uuid
        or (tel and f"tel:{without_scheme(tel, 'tel:')}")
        or (mailto and f"mailto:{without_scheme(mailto, 'mailto:')}")
        or (f"{role}:{name}" if name and role else name or role)
        or next(filter(None, (text_of(party.get(name)) for name in _IDS)), "")
    )


def _moment(value: Any) -> float | None:
    try:
        return instant(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _date(seconds: float | None) -> str:
    """A date of at most 30 characters, the length of the field in the reference's collections."""
    if seconds is None:
        return ""
    moment = datetime.fromtimestamp(min(max(seconds, _EARLIEST), _LATEST), UTC)
    return moment.isoformat(timespec="milliseconds")


def _fitting(row: Row, lengths: Mapping[str, int | None]) -> Row:
    return {
        name: _cut(value, lengths[name]) if isinstance(value, str) else value
        for name, value in row.items()
        if name in lengths
    }


def _cut(text: str, length: int | None) -> str:
    """Milvus counts bytes."""
    return text.encode(errors="replace")[:length].decode(errors="ignore")
