"""Bodies that stand in the vCon itself."""

import binascii
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any, Final

from vconflow.errors import Permanent
from vconflow.model.rawjson import encode

__all__ = ["content_of", "decoded"]

_PIECE: Final = 4 * 64 * 1024
_STANDARD: Final = str.maketrans("-_", "+/")


def decoded(body: str, encoding: str | None) -> Iterator[bytes]:
    """The content of a body in base64url, or base64 as of old, piece by piece.

    Line breaks and padding are taken as they come. Raises Permanent for anything else.
    """
    if encoding not in ("base64url", "base64", None, ""):
        raise Permanent("the body of a recording has to be base64url")
    text = "".join(body.split()).rstrip("=").translate(_STANDARD)
    for start in range(0, len(text), _PIECE):
        piece = text[start : start + _PIECE]
        try:
            yield b64decode(piece + "=" * (-len(piece) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise Permanent("the body is no base64url") from None


def content_of(dialog: Mapping[str, Any]) -> bytes:
    """What the body of a dialog of any type stands for. Raises Permanent if it cannot be read."""
    body, encoding = dialog.get("body"), dialog.get("encoding")
    if not isinstance(body, str):
        return encode(body)
    # Recordings of old came in base64 without saying so; texts come as they are.
    if encoding in ("base64url", "base64") or (not encoding and dialog.get("type") == "recording"):
        return b"".join(decoded(body, encoding))
    return body.encode()
