"""Which media types are recordings, and what files of them are called."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

__all__ = ["GENERIC", "UNKNOWN", "extension_of", "is_among", "plain"]

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
    "audio/opus": ".opus",
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


def plain(media_type: object) -> str:
    """The media type in lower case, without parameters; empty for what is no text."""
    return media_type.partition(";")[0].strip().lower() if isinstance(media_type, str) else ""


def is_among(media_type: str, patterns: Sequence[str]) -> bool:
    """Whether a plain media type fits one of the patterns, such as `audio/*`."""
    return any(fnmatchcase(media_type, pattern.lower()) for pattern in patterns)


def extension_of(media_type: str) -> str:
    """What names of its files end in, `.wav`; empty if nothing is known."""
    return _EXTENSIONS.get(media_type, "")
