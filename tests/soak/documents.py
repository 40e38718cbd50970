"""Real conversations with uuids of their own."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

import vconflow

__all__ = ["CHANGE", "Copy", "Documents"]

_BESIDE = Path(__file__).parents[3] / "shared" / "data"
_SAMPLES = Path(vconflow.__file__).parent / "samples" / "conversations"
_KEPT = ("created_at", "parties", "dialog", "analysis")
"""Members that neither a chain nor a change of ours touches."""

CHANGE = {"type": "soak", "body": "changed by a PUT", "encoding": "none"}
"""The attachment that a PUT adds."""


class Copy(msgspec.Struct, frozen=True):
    """What a stored document shows: tags of chains, our change, and what was sent."""

    chains: frozenset[str]
    changed: bool
    intact: bool


class Documents:
    """The documents of `VCONFLOW_TEST_DATA`, by default of the folder that the tests use, else the
    samples of the package.
    """

    def __init__(self) -> None:
        self._templates: Sequence[dict[str, Any]] = [
            msgspec.json.decode(text) for text in _conversations()
        ]

    def __len__(self) -> int:
        return len(self._templates)

    def make(self, template: int, uuid: str) -> bytes:
        """The bytes of a vCon on one line."""
        return msgspec.json.encode(self._templates[template] | {"uuid": uuid})

    def inspect(self, document: bytes, template: int) -> Copy:
        """Compare a document with what it was made of."""
        found = msgspec.json.decode(document)
        sent = self._templates[template]
        attachments = found.get("attachments") or []
        return Copy(
            frozenset(name for name in ("first", "second") if _is_tagged(attachments, name)),
            CHANGE in attachments,
            all(found.get(name) == sent.get(name) for name in _KEPT),
        )


def _is_tagged(attachments: list[Any], chain: str) -> bool:
    bodies = (item.get("body") for item in attachments if isinstance(item, dict))
    return any(f"chain:{chain}" in body for body in bodies if isinstance(body, list | str))


def _conversations() -> list[bytes]:
    lines = Path(os.environ.get("VCONFLOW_TEST_DATA", _BESIDE)) / "conversations.ndjson"
    if lines.is_file():
        return [line for line in lines.read_bytes().splitlines() if line]
    return [path.read_bytes() for path in sorted(_SAMPLES.glob("*.json"))]
