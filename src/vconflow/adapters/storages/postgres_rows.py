"""What a vCon looks like as a row."""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw

from vconflow.model.entry import StoredVcon

__all__ = ["Row", "columns", "row"]

_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
# year 1 to year 9999: what Python and JSON dates can say
_EARLIEST: Final = -62_135_596_800.0
_LATEST: Final = 253_402_300_799.0


class Row(NamedTuple):
    """The parameters of one row in the order of the statement `upsert`.

    `has_json` says whether the document goes into JSONB too.
    """

    id: str
    vcon: str
    created_at: float
    subject: str | None
    has_json: bool
    document: bytes
    rev: int

    @property
    def without_json(self) -> "Row":
        """The row for a document that JSONB refuses."""
        return self._replace(has_json=False)


class _Head(msgspec.Struct):
    vcon: Raw = Raw()
    subject: Raw = Raw()


def row(vcon: StoredVcon) -> Row:
    """Return the row of a vCon."""
    head = _head(vcon.document)
    return Row(
        vcon.uuid,
        _text(head.vcon) or "",
        min(max(vcon.created_at, _EARLIEST), _LATEST),
        _text(head.subject),
        not _has_nul(vcon.document),
        vcon.document,
        vcon.rev,
    )


def columns(rows: Sequence[Row]) -> list[list[Any]]:
    """Return the rows as the arrays that the statement unnests."""
    return [list(column) for column in zip(*rows, strict=True)]


def _head(document: bytes) -> _Head:
    try:
        return _HEAD.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Head()


def _text(raw: Raw) -> str | None:
    """Return a string as PostgreSQL can hold it: without the character 0."""
    if not raw:
        return None
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else None


def _has_nul(document: bytes) -> bool:
    """Whether it holds the character 0, the commonest thing that JSONB refuses."""
    return b"\\u0000" in document and _NUL.search(document) is not None


_HEAD = msgspec.json.Decoder(_Head)
