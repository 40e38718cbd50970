"""Between the versions of a vCon: one table of names, read in both directions.

Members are moved as they are written; only the values named below are read, so bodies stay byte
for byte. What an old version cannot say is stripped when an old reader loses nothing it could
use, and refused when it would misread the rest.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from msgspec import Raw

from vconflow.errors import InvalidVcon, Problem
from vconflow.model import hashes
from vconflow.model.dates import rfc3339
from vconflow.model.identifiers import canonical_uuid, uuid_time
from vconflow.model.members import (
    Members,
    change_each,
    is_empty,
    members_of,
    open_unsigned,
    replace_name,
    text_of,
    untouched,
)
from vconflow.model.rawjson import decode_exact, encode
from vconflow.model.reading import Loc, read_items
from vconflow.model.renames import (
    EMPTY_IN_001,
    EVENTS,
    HASH_PAIR_UNTIL,
    LEGACY,
    NEWEST,
    RENAMES,
    STRIPPED,
    is_legacy,
    names_for,
)

__all__ = ["LEGACY", "NEWEST", "downgrade", "spell", "upgrade"]


def upgrade(document: bytes) -> bytes:
    """Return the document as 0.4.0; one that needs no change comes back as the same bytes.

    Raises InvalidVcon when it is no JSON object, or signed or encrypted.
    """
    top = open_unsigned(document)
    before = dict(top)
    version = text_of(top.get("vcon"))
    for name in ("group", "redacted", "appended"):
        if name in top and is_empty(top[name]):
            del top[name]
    _rename_up("", top)
    if version is not None and version != NEWEST:
        top["vcon"] = Raw(encode(NEWEST))
    change_each(top, lambda kind, item: _item_up(kind, item, version))
    return document if untouched(before, top) else encode(top)


def downgrade(document: bytes, version: str = "0.0.1") -> bytes:
    """Return the document in a version of `LEGACY`; one of that version comes back unchanged.

    Raises ValueError for another version, and InvalidVcon when the document is no JSON object, is
    signed or encrypted, or says what the version cannot (`no_legacy_form`).
    """
    if version not in LEGACY:
        raise ValueError(f"version must be one of {', '.join(LEGACY)}")
    top = open_unsigned(document)
    written = text_of(top.get("vcon"))
    if written == version:
        return document
    if written in LEGACY:
        top = open_unsigned(upgrade(document))
    problems: list[Problem] = []
    _no_legacy_form(top, version, problems)
    if problems:
        raise InvalidVcon(problems)
    _object_down("", top, version)
    change_each(top, lambda kind, item: _object_down(kind, item, version))
    top["vcon"] = Raw(encode(version))
    _require_date(top)
    if version == "0.0.1":
        for name, raw in EMPTY_IN_001.items():
            top.setdefault(name, raw)
    return encode(top)


def spell(kind: str, item: Mapping[str, Any], version: str | None) -> dict[str, Any]:
    """Return an item written with the newest names as a document of that version writes it.

    Nothing is stripped, and a text with `json` is taken to be JSON text already.
    """
    if version not in LEGACY:
        return dict(item)
    members = {name: Raw(encode(value)) for name, value in item.items()}
    _object_down(kind, members, version, adding=True)
    return {name: decode_exact(raw) for name, raw in members.items()}


# Upgrade


def _rename_up(kind: str, members: Members) -> None:
    new_names = set(members)
    for rename in RENAMES:
        if rename.kind != kind or rename.old not in members:
            continue
        if rename.new not in members:
            replace_name(members, rename.old, rename.new)
        elif rename.new in new_names and not rename.keep:
            del members[rename.old]


def _item_up(kind: str, members: Members, version: str | None) -> None:
    _rename_up(kind, members)
    _hash_up(members)
    _body_up(members, version)
    if kind == "dialog" and (session := text_of(members.get("session_id"))):
        members["session_id"] = Raw(encode(_session_object(session)))
    if kind == "party_history" and (event := EVENTS.get(text_of(members.get("event")) or "")):
        members["event"] = Raw(encode(event))


def _hash_up(members: Members) -> None:
    if "content_hash" in members:
        value = decode_exact(members["content_hash"])
        normal = _normal_hashes(value)
        if normal != value:
            members["content_hash"] = Raw(encode(normal))
    pair = text_of(members.get("alg")), text_of(members.get("signature"))
    joined = hashes.content_hash(pair[0] or "", pair[1] or "")
    if joined is None:
        return
    del members["alg"]
    if "content_hash" in members:
        del members["signature"]
        return
    replace_name(members, "signature", "content_hash")
    members["content_hash"] = Raw(encode(joined))


def _normal_hashes(value: Any) -> Any:
    if isinstance(value, list):
        return [_normal_hashes(item) for item in value]
    return hashes.normal_hash(value) if isinstance(value, str) else value


def _body_up(members: Members, version: str | None) -> None:
    body, encoding = bytes(members.get("body", b"")), text_of(members.get("encoding"))
    if encoding == "none" and body[:1] in (b"{", b"["):
        members["encoding"] = Raw(b'"json"')
    elif encoding == "json" and version in LEGACY and (text := text_of(members.get("body"))):
        # Up to core-02 the body was JSON text in a string; a text that is no JSON stays as it is.
        try:
            decode_exact(text.encode())
        except InvalidVcon:
            return
        members["body"] = Raw(text.strip(" \t\r\n").encode())


def _session_object(text: str) -> dict[str, str]:
    """Read a Session-ID header (RFC 7989): `<local>;remote=<remote>`."""
    local, found, remote = text.partition(";remote=")
    return {"local": local, "remote": remote} if found else {"local": local}


# Downgrade


def _require_date(top: Members) -> None:
    """Write the date that the uuid carries where only core-04 lets it be missing."""
    with suppress(ValueError):
        seconds = uuid_time(canonical_uuid(text_of(top.get("uuid")) or ""))
        if seconds is not None and "created_at" not in top:
            moment = datetime.fromtimestamp(seconds, UTC)
            top["created_at"] = Raw(encode(rfc3339(moment)))


def _no_legacy_form(top: Members, version: str, problems: list[Problem]) -> None:
    for loc, what in _unsayable(top, version):
        problems.append(Problem(loc, f"{version} has no {what}", "no_legacy_form"))


def _unsayable(top: Members, version: str) -> Iterator[tuple[Loc, str]]:
    if version != "0.3.0" and not is_empty(top.get("critical", Raw(b"[]"))):
        yield ("critical",), "critical extensions"
    raw = top.get("dialog")
    if raw is None or not bytes(raw).startswith(b"["):
        return
    for number, item in enumerate(read_items(raw)):
        members = members_of(item) or {}
        if text_of(members.get("type")) == "recording-set":
            yield ("dialog", number, "type"), "recording sets"
        parties = members.get("parties")
        if parties is not None and bytes(parties).startswith(b"["):
            channels = read_items(parties)
            if any(bytes(channel) == b"null" for channel in channels):
                yield ("dialog", number, "parties"), "channels without a party"


def _object_down(kind: str, members: Members, version: str, *, adding: bool = False) -> None:
    if not adding:
        for name, last in STRIPPED.get(kind, {}).items():
            if is_legacy(version, last):
                members.pop(name, None)
    if kind == "" and version != "0.3.0":
        members.pop("critical", None)  # empty, or refused before
    _names_down(kind, members, version)
    if kind and is_legacy(version, HASH_PAIR_UNTIL):
        _hash_down(members)
    if kind in ("dialog", "analysis", "attachments"):
        _body_down(kind, members, adding)
    if kind == "dialog":
        _session_down(members)
    if kind == "party_history":
        _event_down(members)


def _names_down(kind: str, members: Members, version: str) -> None:
    for new, old in names_for(kind, version).items():
        if new in members:
            members.pop(old, None)
            replace_name(members, new, old)


def _event_down(members: Members) -> None:
    legacy = {new: old for old, new in EVENTS.items()}
    if event := legacy.get(text_of(members.get("event")) or ""):
        members["event"] = Raw(encode(event))


def _hash_down(members: Members) -> None:
    raw = members.get("content_hash")
    if raw is None:
        return
    value = decode_exact(raw)
    every = value if isinstance(value, list) else [value]
    pairs = [hashes.legacy_hash(item) for item in every if isinstance(item, str)]
    known = [pair for pair in pairs if pair]
    if not known:
        return
    # 0.0.1 has room for one; SHA-512 is the one that everybody must know.
    alg, signature = next((pair for pair in known if pair[0] == "SHA-512"), known[0])
    members["alg"] = Raw(encode(alg))
    members.pop("signature", None)
    replace_name(members, "content_hash", "signature")
    members["signature"] = Raw(encode(signature))


def _body_down(kind: str, members: Members, adding: bool) -> None:
    if text_of(members.get("encoding")) != "json" or "body" not in members:
        return
    body = bytes(members["body"])
    if body[:1] in (b"{", b"["):
        # Old readers take structured bodies with "none", but for tags, which were always "json".
        if not (kind == "attachments" and text_of(members.get("type")) == "tags"):
            members["encoding"] = Raw(b'"none"')
    elif body != b"null" and not adding:
        members["body"] = Raw(encode(body.decode()))


def _session_down(members: Members) -> None:
    raw = members.get("session_id")
    session = decode_exact(raw) if raw and bytes(raw).startswith(b"{") else {}
    if isinstance(local := session.get("local"), str) and session.keys() <= {"local", "remote"}:
        remote = session.get("remote")
        text = f"{local};remote={remote}" if isinstance(remote, str) else local
        members["session_id"] = Raw(encode(text))
