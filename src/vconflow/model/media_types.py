"""Media types as vCons write them, and what files of them are called."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

__all__ = ["GENERIC", "UNKNOWN", "extension_of", "is_among", "plain", "recognized"]

UNKNOWN: Final = "application/octet-stream"

GENERIC: Final = frozenset({"", UNKNOWN, "binary/octet-stream"})
"""What says nothing about a content; the last is what S3 answers when nobody said more."""

_EXTENSIONS: Final = {
    "audio/aac": ".aac",
    "audio/flac": ".flac",
    "audio/m4a": ".m4a",
    "audio/mp3": ".mp3",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/opus": ".ogg",
    "audio/vnd.wave": ".wav",
    "audio/wav": ".wav",
    "audio/wave": ".wav",
    "audio/webm": ".webm",
    "audio/x-flac": ".flac",
    "audio/x-m4a": ".m4a",
    "audio/x-mp3": ".mp3",
    "audio/x-mp4": ".m4a",
    "audio/x-wav": ".wav",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "text/html": ".html",
    "text/plain": ".txt",
    "video/mp4": ".mp4",
    "video/mpeg": ".mpeg",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-mp4": ".mp4",
}
"""Those found in vCons. Python's own table lacks half of them, and takes more from the machine."""

_BEGINNINGS: Final = (
    (b"RIFF....WAVE", "audio/wav"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]", "audio/mpeg"),
    (b"....ftyp", "audio/mp4"),
    (rb"\x1a\x45\xdf\xa3", "audio/webm"),
)


def plain(media_type: object) -> str:
    """The media type in lower case, without parameters; empty for what is no text."""
    return media_type.partition(";")[0].strip().lower() if isinstance(media_type, str) else ""


def is_among(media_type: str, patterns: Sequence[str]) -> bool:
    """Whether a plain media type fits one of the patterns, such as `audio/*`."""
    return any(fnmatchcase(media_type, pattern.lower()) for pattern in patterns)


def extension_of(media_type: str) -> str:
    """What names of its files end in, `.wav`; empty if nothing is known."""
    return _EXTENSIONS.get(media_type, "")


def recognized(content: bytes) -> str:
    """The media type of a recording by how it begins; empty if that says nothing."""
    found = (
        name for pattern, name in _BEGINNINGS if re.match(pattern, content, re.DOTALL) is not None
    )
    return next(found, "")
