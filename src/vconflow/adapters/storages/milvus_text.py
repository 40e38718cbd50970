"""What of a vCon can be searched for, in passages that an embedding can stand for."""

import re
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from vconflow.model.vcon import Vcon

__all__ = ["TRANSCRIPTS", "items", "metadata_of", "passages", "text_of"]

PASSAGE: Final = 300
"""Characters of a passage, some sentences: the vector of a longer one says less of each in it."""
MOST_PASSAGES: Final = 3_000
"""Of one vCon: about fifteen hours of talking."""

TRANSCRIPTS: Final = frozenset({"transcript", "wtf_transcription"})
_WORDS_OF: Final = (
    ("text",),
    ("transcript",),
    ("transcript", "text"),
    ("paragraphs", "transcript"),
    ("results", "channels", 0, "alternatives", 0, "transcript"),
)
"""Where the vendors of transcripts put what was said."""
_ENDS: Final = re.compile(r"(?<=[.!?\u3002\uff01\uff1f])\s+|\n+")


def passages(vcon: Vcon) -> list[str]:
    """The text of a vCon in passages that end where sentences do, each once, in this order:
    subject and parties, transcripts, summaries, written messages.
    """
    found: dict[str, None] = {}
    for text in _texts(vcon):
        for passage in _cut(text):
            found[passage] = None
            if len(found) == MOST_PASSAGES:
                return list(found)
    return list(found)


def metadata_of(vcon: Vcon) -> Mapping[str, Any]:
    """The member `metadata`, which is none of the format's own; empty if it is no object."""
    value = vcon.get("metadata")
    return value if isinstance(value, dict) else {}


def items(vcon: Vcon, name: str) -> list[Mapping[str, Any]]:
    """The objects in a list of a vCon, as far as they are any."""
    value = vcon.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text_of(value: Any) -> str:
    """A text, or nothing for what is none."""
    return value.strip() if isinstance(value, str) else ""


def _texts(vcon: Vcon) -> Iterator[str]:
    yield " ".join(_introduction(vcon))
    yield " ".join(text_of(item.get("text")) for item in items(vcon, "transcript"))
    analyses = items(vcon, "analysis")
    for analysis in analyses:
        if text_of(analysis.get("type")) in TRANSCRIPTS:
            yield _words(_body(analysis))
    for analysis in analyses:
        if analysis.get("type") == "summary":
            yield _words(_body(analysis))
    yield "\n".join(
        text_of(_body(dialog)) for dialog in items(vcon, "dialog") if dialog.get("type") == "text"
    )


def _introduction(vcon: Vcon) -> Iterator[str]:
    metadata = metadata_of(vcon)
    for label, value in (
        ("Subject", vcon.get("subject")),
        ("Title", metadata.get("title")),
        ("Description", metadata.get("description")),
    ):
        if text := text_of(value):
            yield f"{label}: {text}."
    for party in items(vcon, "parties"):
        name = text_of(party.get("name")) or text_of(party.get("partyId"))
        who = " ".join(filter(None, (text_of(party.get("role")), name)))
        if who:
            yield f"Party: {who}."


def _body(item: Mapping[str, Any]) -> Any:
    """The body, decoded if it is JSON or base64url of a text."""
    body, encoding = item.get("body"), item.get("encoding")
    if not isinstance(body, str):
        return body
    try:
        if encoding == "json":
            return msgspec.json.decode(body)
        if encoding == "base64url":
            return urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode()
    except (msgspec.DecodeError, ValueError):
        return body if encoding == "json" else None
    return body


def _words(body: Any) -> str:
    if isinstance(body, str):
        return body
    if isinstance(body, list):
        return " ".join(map(_words, body))
    return next(filter(None, (text_of(_at(body, path)) for path in _WORDS_OF)), "")


def _at(value: Any, path: Sequence[str | int]) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _cut(text: str) -> Iterator[str]:
    """Whole sentences, as many as fit into a passage; one that does not is cut between words."""
    passage = ""
    for piece in _pieces(_clean(text)):
        if passage and len(passage) + 1 + len(piece) > PASSAGE:
            yield passage
            passage = ""
        passage = f"{passage} {piece}" if passage else piece
    if passage:
        yield passage


def _pieces(text: str) -> Iterator[str]:
    for sentence in _ENDS.split(text):
        words, start = " ".join(sentence.split()), 0
        # By index: copying the rest each time would take hours for megabytes without a full stop.
        while len(words) - start > PASSAGE:
            end = words.rfind(" ", start + 1, start + PASSAGE + 1)
            end = start + PASSAGE if end < 0 else end
            yield words[start:end]
            start = end + (words[end] == " ")
        if start < len(words):
            yield words[start:]


def _clean(text: str) -> str:
    """Without halves of surrogate pairs, which UTF-8 cannot write, and without the character 0."""
    return text.encode(errors="replace").decode().replace("\0", " ")
