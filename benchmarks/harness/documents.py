"""vCons of any size, made of real conversations, that differ in their uuid."""

import os
from collections.abc import Iterator
from functools import cache
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec

import vconflow

__all__ = ["MARKER", "SIZE", "fresh", "new_prefix", "tagged", "templates"]

MARKER = "00000000-0000-8000-8000-000000000000"
"""Stands in a template where the uuid goes; no real document has it."""

SIZE = 2000
"""Bytes of a vCon where a flow does not say otherwise."""

_MOST = 64
_MOST_BYTES = 64_000_000
_NEAR = 0.25
_TAGS = {"type": "tags", "body": ["source:benchmark"], "encoding": "json"}
_BESIDE = Path(__file__).parents[3] / "shared" / "data"
_SAMPLES = Path(vconflow.__file__).parent / "samples" / "conversations"


@cache
def templates(size: int = SIZE) -> tuple[bytes, ...]:
    """Real conversations of about `size` bytes, on one line each, with `MARKER` as uuid.

    From the folder of `VCONFLOW_TEST_DATA`, by default `../shared/data` beside the repository, or
    from the samples of the package when there is none. As they are if enough of them are about so
    large; else shortened, or made longer with what was said in others.
    """
    conversations = [msgspec.json.decode(raw) | {"uuid": MARKER} for raw in _conversations()]
    whole = [
        document for document in map(msgspec.json.encode, conversations) if _fits(document, size)
    ]
    if not whole:
        texts = [text for conversation in conversations for text in _texts(conversation)]
        number = max(1, min(_MOST, _MOST_BYTES // size))
        whole = [_sized(conversation, texts, size) for conversation in conversations[:number]]
    return tuple(sorted(whole, key=lambda document: abs(len(document) - size))[:_MOST])


def fresh(number: int, size: int = SIZE) -> Iterator[tuple[str, bytes]]:
    """So many vCons that nobody has seen before, each with its uuid."""
    prefix, marker = new_prefix(), MARKER.encode()
    uuids = (f"{prefix}{serial:012x}" for serial in count())
    for uuid, template in islice(zip(uuids, cycle(templates(size)), strict=False), number):
        yield uuid, template.replace(marker, uuid.encode())


def new_prefix() -> str:
    """What all uuids of one window begin with; 12 hexadecimal digits that count complete one."""
    text = uuid4().hex
    return f"{text[:8]}-{text[8:12]}-8{text[13:16]}-8{text[17:20]}-"


def tagged(document: bytes) -> bytes:
    """The least that tagging a vCon takes: decode, append, encode."""
    vcon = msgspec.json.decode(document)
    vcon.setdefault("attachments", []).append(_TAGS)
    return msgspec.json.encode(vcon)


def _fits(document: bytes, size: int) -> bool:
    return abs(len(document) - size) <= _NEAR * size and document.count(MARKER.encode()) == 1


def _texts(conversation: dict[str, Any]) -> list[dict[str, Any]]:
    dialogs = conversation.get("dialog", ())
    return [{**item, "parties": [0], "originator": 0} for item in dialogs if item["type"] == "text"]


def _sized(conversation: dict[str, Any], texts: list[dict[str, Any]], size: int) -> bytes:
    rest: dict[str, Any] = {"dialog": [], "attachments": [], "analysis": []}
    left = size - len(msgspec.json.encode(conversation | rest))
    dialogs = []
    for text in cycle(texts):
        left -= len(msgspec.json.encode(text)) + 1
        if left < 0:
            break
        dialogs.append(text)
    return msgspec.json.encode(conversation | rest | {"dialog": dialogs})


def _conversations() -> Iterator[bytes]:
    lines = Path(os.environ.get("VCONFLOW_TEST_DATA", _BESIDE)) / "conversations.ndjson"
    if lines.is_file():
        yield from filter(None, lines.read_bytes().splitlines())
    else:
        yield from (path.read_bytes() for path in sorted(_SAMPLES.glob("*.json")))
