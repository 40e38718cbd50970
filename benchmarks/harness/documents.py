"""vCons of about 2 kB that differ in their uuid."""

import os
from collections.abc import Iterator
from itertools import count, cycle, islice
from pathlib import Path
from uuid import uuid4

import msgspec

import vconflow

__all__ = ["MARKER", "fresh", "new_prefix", "tagged", "templates"]

MARKER = "00000000-0000-8000-8000-000000000000"
"""Stands in a template where the uuid goes; no real document has it."""

_SIZE = 2000
_SMALLEST, _LARGEST = 1500, 2500
_MOST = 64
_TAGS = {"type": "tags", "body": ["source:benchmark"], "encoding": "json"}
_BESIDE = Path(__file__).parents[3] / "shared" / "data"
_SAMPLES = Path(vconflow.__file__).parent / "samples" / "conversations"


def templates() -> list[bytes]:
    """Real conversations, those nearest to 2000 bytes, on one line each, with `MARKER` as uuid.

    From the folder of `VCONFLOW_TEST_DATA`, by default `../shared/data` beside the repository, or
    from the samples of the package when there is none.
    """
    found = []
    for raw in _conversations():
        document = msgspec.json.encode(msgspec.json.decode(raw) | {"uuid": MARKER})
        if _SMALLEST <= len(document) <= _LARGEST and document.count(MARKER.encode()) == 1:
            found.append(document)
    return sorted(found, key=lambda document: abs(len(document) - _SIZE))[:_MOST]


def fresh(number: int) -> list[tuple[str, bytes]]:
    """So many vCons that nobody has seen before, each with its uuid."""
    prefix, marker = new_prefix(), MARKER.encode()
    uuids = (f"{prefix}{serial:012x}" for serial in count())
    return [
        (uuid, template.replace(marker, uuid.encode()))
        for uuid, template in islice(zip(uuids, cycle(templates()), strict=False), number)
    ]


def new_prefix() -> str:
    """What all uuids of one window begin with; 12 hexadecimal digits that count complete one."""
    text = uuid4().hex
    return f"{text[:8]}-{text[8:12]}-8{text[13:16]}-8{text[17:20]}-"


def tagged(document: bytes) -> bytes:
    """The least that tagging a vCon takes: decode, append, encode."""
    vcon = msgspec.json.decode(document)
    vcon.setdefault("attachments", []).append(_TAGS)
    return msgspec.json.encode(vcon)


def _conversations() -> Iterator[bytes]:
    lines = Path(os.environ.get("VCONFLOW_TEST_DATA", _BESIDE)) / "conversations.ndjson"
    if lines.is_file():
        yield from filter(None, lines.read_bytes().splitlines())
    else:
        yield from (path.read_bytes() for path in sorted(_SAMPLES.glob("*.json")))
