"""How dead letters, their ids and cursors look over HTTP."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from vconflow.api.refusals import InvalidRequest
from vconflow.model.dates import rfc3339
from vconflow.pipeline.dead_letters import Position
from vconflow.ports.dead_letters import DeadLetter
from vconflow.ports.ledger import Progress

__all__ = [
    "DeadLetterDetail",
    "DeadLetterSummary",
    "cursor_of",
    "detailed",
    "letter_key",
    "letter_keys",
    "position_of",
    "shown",
]

# Longer numbers than Redis itself can give make it refuse the whole command.
_STREAM_ID = re.compile(r"\d{1,18}-\d{1,18}", re.ASCII)


class DeadLetterSummary(msgspec.Struct, frozen=True):
    """A dead letter as lists show it. `next_link` and `storages` say where it will resume.

    Both are null when that is the first link of its chain. Times are RFC 3339.
    """

    id: str
    list: str
    uuid: str
    chain: str
    stage: str
    error_type: str
    error: str
    attempts: int
    first_failure: str | None
    last_failure: str | None
    enqueued: str | None
    next_link: str | None
    storages: tuple[str, ...] | None
    origin: str


class DeadLetterDetail(DeadLetterSummary, frozen=True):
    """The same with everything that is known."""

    trace: str
    traceback: str
    progress: Progress


def shown(letter: DeadLetter) -> DeadLetterSummary:
    """A dead letter as lists show it."""
    return DeadLetterSummary(**_summary(letter))


def detailed(letter: DeadLetter) -> DeadLetterDetail:
    """The same with everything that is known."""
    return DeadLetterDetail(
        **_summary(letter),
        trace=letter.trace,
        traceback=letter.traceback,
        progress=letter.progress,
    )


def _summary(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": _name(letter),
        "list": letter.list,
        "uuid": letter.uuid,
        "chain": letter.chain,
        "stage": letter.stage,
        "error_type": letter.error_type,
        "error": letter.error,
        "attempts": letter.attempts,
        "first_failure": _moment(letter.first_failure),
        "last_failure": _moment(letter.last_failure),
        "enqueued": _moment(letter.at),
        "next_link": letter.next_link or None,
        "storages": letter.storages,
        "origin": letter.origin,
    }


def _name(letter: DeadLetter) -> str:
    """An id that is unique over all lists, and the same with and without percent-encoding."""
    quoted = quote(letter.list, safe="").replace("~", "%7E").replace("%", "~")
    return f"{quoted}:{letter.id}"


def letter_key(name: str) -> tuple[str, str]:
    """The list and the id within it; two empty ones for what is no id."""
    quoted, _, letter_id = name.rpartition(":")
    if not _STREAM_ID.fullmatch(letter_id):
        return "", ""
    return unquote(quoted.replace("~", "%")), letter_id


def letter_keys(names: Sequence[str]) -> dict[str, list[str]]:
    """The ids by list. Raises InvalidRequest for what is no id."""
    by_list: dict[str, list[str]] = {}
    for number, name in enumerate(names):
        list_name, letter_id = letter_key(name)
        if not list_name:
            raise InvalidRequest.at(("body", "ids", number), "is no id of a dead letter", "bad_id")
        by_list.setdefault(list_name, []).append(letter_id)
    return by_list


def cursor_of(position: Position | None) -> str | None:
    """A position as clients carry it."""
    if position is None:
        return None
    return urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def position_of(cursor: str) -> Position:
    """The position that a client carried. Raises ValueError."""
    padded = cursor.encode() + b"=" * (-len(cursor) % 4)
    position = msgspec.json.decode(urlsafe_b64decode(padded), type=Position)
    for entry_id in (position.bound, position.after, position.until):
        if entry_id and not _STREAM_ID.fullmatch(entry_id):
            raise ValueError("not the id of an entry")
    return position


def _moment(milliseconds: int) -> str | None:
    if not milliseconds:
        return None
    try:
        return rfc3339(datetime.fromtimestamp(milliseconds / 1000, UTC))
    except (OverflowError, ValueError):
        return None
